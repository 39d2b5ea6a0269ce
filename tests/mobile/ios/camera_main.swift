// The app's own Camera.swift on the stand-ins of stubs/AVFoundation.swift. `test_camera.py` compiles
// it with them into one program, and looks for what it prints.

open class CALayer {
  public init() {}
}

extension String {
  public init(localized key: String) { self = key }
}

func check(_ isRight: Bool, _ what: String) {
  print("\(isRight ? "right" : "WRONG"): \(what)")
}

func thrown(_ body: () async throws -> Void) async -> String {
  do {
    try await body()
    return "nothing"
  } catch {
    return "\(error)"
  }
}

/// A frame of two rows and one column: BGRX, the upper pixel red, the lower one blue.
final class RedAndBlue {
  let memory = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 4)
  let buffer: CVBuffer

  init() {
    memory.copyMemory(from: [0, 0, 255, 9, 255, 0, 0, 9] as [UInt8], byteCount: 8)
    buffer = CVBuffer(width: 1, height: 2, stride: 4, memory: memory)
  }
}

struct Shutter: Error {}

@main enum CameraTest {
  static func main() async throws {
    await refusals()
    let back = AVCaptureDevice(zoom: 60, hasTorch: true)
    let front = AVCaptureDevice(zoom: 2, hasTorch: false)
    AVCaptureDevice.present = [.back: back]
    let alone = Camera()
    _ = try await alone.start()
    let stays = await alone.turn()
    check(used(alone) === back && !stays.turns, "without another camera the one in use stays")
    AVCaptureDevice.present = [.back: back, .front: front]
    let camera = Camera()
    let abilities = try await camera.start()
    check(
      abilities == Camera.Abilities(turns: true, zoom: 8, hasLight: true), "the back camera's abilities"
    )
    check(camera.session.isRunning, "it runs")
    check(camera.session.sessionPreset == .vga640x480, "frames are small")
    await turned(camera, back, front)
    await frames(camera)
    await shots(camera)
    await ended(camera)
  }

  static func used(_ camera: Camera) -> AVCaptureDevice? {
    camera.session.inputs.count == 1
      ? (camera.session.inputs[0] as? AVCaptureDeviceInput)?.device : nil
  }

  static func refusals() async {
    check(await thrown { _ = try await Camera().start() } == "denied", "without permission: denied")
    AVCaptureDevice.isAllowed = true
    check(await thrown { _ = try await Camera().start() } == "absent", "without a camera: absent")
    check(await thrown { _ = try await Camera().takePhoto() } == "noPhoto", "not started: noPhoto")
  }

  static func turned(_ camera: Camera, _ back: AVCaptureDevice, _ front: AVCaptureDevice) async {
    await camera.zoom(to: 3)
    check(back.videoZoomFactor == 3, "it magnifies")
    await camera.zoom(to: 99)
    check(back.videoZoomFactor == 8, "as far as it says")
    await camera.light(true)
    check(back.torchMode == .on, "light on")
    await camera.light(false)
    check(back.torchMode == .off, "light off")
    let abilities = await camera.turn()
    check(
      abilities == Camera.Abilities(turns: true, zoom: 2, hasLight: false),
      "the front camera's abilities")
    check(used(camera) === front, "the front camera is in use, and it alone")
    await camera.light(true)
    check(front.torchMode == .off, "no light where there is none")
    _ = await camera.turn()
    check(used(camera) === back, "and back again")
  }

  static func frames(_ camera: Camera) async {
    let outputs = camera.session.outputs.compactMap { $0 as? AVCaptureVideoDataOutput }
    guard outputs.count == 1, let delegate = outputs[0].delegate else {
      return check(false, "one output of frames")
    }
    let frame = RedAndBlue()
    func come() {
      delegate.captureOutput(
        outputs[0], didOutput: CMSampleBuffer(frame.buffer), from: AVCaptureConnection())
    }
    come()
    check(frame.buffer.locks == 0, "a frame that nobody waits for is not touched")
    nonisolated(unsafe) var isAnswered = false
    let waiting = Task {
      defer { isAnswered = true }
      return await camera.nextFrame()
    }
    // Until it waits, frames are dropped.
    while !isAnswered {
      await Task.yield()
      come()
    }
    let image = await waiting.value
    check(image?.bytes == [255, 0, 0, 0, 0, 255], "the next one arrives as RGB")
    check((frame.buffer.locks, frame.buffer.unlocks) == (1, 1), "and is unlocked")
    delegate.captureOutput(outputs[0], didOutput: CMSampleBuffer(nil), from: AVCaptureConnection())
  }

  static func shots(_ camera: Camera) async {
    let outputs = camera.session.outputs.compactMap { $0 as? AVCapturePhotoOutput }
    guard outputs.count == 1 else { return check(false, "one output of photos") }
    let output = outputs[0]
    let settings = AVCaptureResolvedPhotoSettings()
    output.shoot = { $1.photoOutput($0, didFinishCaptureFor: settings, error: Shutter()) }
    check(
      await thrown { _ = try await camera.takePhoto() } == "Shutter()",
      "a shot that fails before there is a photo ends")
    output.shoot = { $1.photoOutput($0, didFinishProcessingPhoto: AVCapturePhoto(nil), error: nil) }
    check(await thrown { _ = try await camera.takePhoto() } == "noPhoto", "a photo without data")
    nonisolated(unsafe) var preset: AVCaptureSession.Preset?
    output.shoot = { output, delegate in
      preset = camera.session.sessionPreset
      let photo = AVCapturePhoto(Data([1, 2, 3]))
      delegate.photoOutput(output, didFinishProcessingPhoto: photo, error: nil)
      // As the system does, after each photo: it must not be answered twice.
      delegate.photoOutput(output, didFinishCaptureFor: settings, error: nil)
    }
    check(
      (try? await camera.takePhoto()) == Data([1, 2, 3]), "after failures the next shot is one")
    check(preset == .photo, "a photo is as large as the camera makes it")
    check(camera.session.sessionPreset == .vga640x480, "and frames are small again")
  }

  static func ended(_ camera: Camera) async {
    camera.session.stopRunning()
    check(await camera.restart() && camera.session.isRunning, "it starts again after an error")
    let waiting = Task { await camera.nextFrame() }
    camera.stop()
    check(await waiting.value == nil, "who waits for a frame is told the end")
    while camera.session.isRunning { await Task.yield() }
    check(await thrown { _ = try await camera.takePhoto() } == "noPhoto", "no photo after the end")
    print("done")
  }
}
