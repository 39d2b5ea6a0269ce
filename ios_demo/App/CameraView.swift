@preconcurrency import AVFoundation
import LiteClassifier
import SwiftUI
import UIKit

/// The live camera: shows what the model makes of it, and takes a photo to be looked at properly.
struct CameraView: View {
  let model: ClassifierModel
  /// Gets the encoded photo after the camera has closed.
  let take: (Data) async -> Void
  @State private var camera = Camera()
  /// Why there is no camera at all.
  @State private var failure: String?
  /// What went wrong while it runs.
  @State private var notice: String?
  @Environment(\.dismiss) private var dismiss

  var body: some View {
    VStack {
      if let failure {
        ContentUnavailableView(
          "No camera", systemImage: "camera", description: Text(failure))
      } else {
        CameraPreview(session: camera.session)
          .ignoresSafeArea(edges: .top)
          .accessibilityLabel("Camera preview")
          // The frame that a drawing is of hides the preview, which is ahead of it.
          .overlay {
            if let live = model.live, live.result.content.isDrawn { LivePicture(live: live) }
          }
      }
      if let text = notice ?? model.liveFailure ?? model.live?.result.content.summary {
        Text(text)
          .padding()
      }
      HStack {
        Button("Cancel") { dismiss() }
        Spacer()
        Button {
          Task { await shoot() }
        } label: {
          Image(systemName: "circle.inset.filled").font(.largeTitle)
        }
        .accessibilityLabel("Take a photo")
        .disabled(failure != nil)
        Spacer()
        if let milliseconds = model.live?.result.milliseconds {
          Text(String(format: "%.0f ms", milliseconds)).monospacedDigit()
        }
      }
      .padding()
    }
    .task { await watch() }
    .task {
      for await _ in camera.interruptions() {
        notice = "Another app uses the camera, or a call does. It goes on when that ends."
      }
    }
    .task {
      for await _ in camera.resumptions() { notice = nil }
    }
  }

  /// Run the model on one frame after the other until the view goes.
  private func watch() async {
    do {
      try await camera.start()
      await withTaskCancellationHandler {
        while let frame = await camera.nextFrame() {
          await model.runLive(frame)
        }
      } onCancel: { [camera = camera] in
        camera.stop()
      }
    } catch {
      failure = error.localizedDescription
    }
    camera.stop()
    model.stopLive()
  }

  private func shoot() async {
    do {
      notice = nil
      let data = try await camera.takePhoto()
      dismiss()
      await take(data)
    } catch {
      // The camera still runs, so that another try is one tap away.
      notice = error.localizedDescription
    }
  }
}

/// A frame with what the model sees in it, or the picture that it makes of it.
private struct LivePicture: View {
  let live: ClassifierModel.LiveFrame

  var body: some View {
    ZStack {
      Rectangle().fill(.background)
      if case .picture(let made) = live.result.content {
        MadeImage(made: made)
      } else if let frame = RGBAImage(live.frame).drawn {
        Image(decorative: frame, scale: 1)
          .resizable()
          .scaledToFit()
          .overlay { ResultDrawing(result: live.result, threshold: nil) }
      }
    }
    .accessibilityHidden(true)
  }
}

/// Why there are no pictures, as sentences.
enum CameraError: LocalizedError {
  case denied, absent, noPhoto

  var errorDescription: String? {
    switch self {
    case .denied: "This app may not use the camera. Allow it in Settings, under Privacy."
    case .absent: "This device has no camera that can be used. Choose a photo instead."
    case .noPhoto: "The camera gave no photo. Try again."
    }
  }
}

/// The back camera, with frames for the live preview and whole photos.
///
/// The session is only touched on `queue`, as AVFoundation asks; the continuations as well.
final class Camera: NSObject, @unchecked Sendable {
  let session = AVCaptureSession()
  private let queue = DispatchQueue(label: "camera")
  private let photoOutput = AVCapturePhotoOutput()
  private var rotation: AVCaptureDevice.RotationCoordinator?
  private var waiting: CheckedContinuation<Data, any Error>?
  /// Who waits for the next frame; while nobody does, frames are dropped before they are converted.
  private var watcher: CheckedContinuation<RGBImage?, Never>?
  private var isStopped = false

  /// Ask for permission where needed, and start. Throws `CameraError`.
  func start() async throws {
    guard await AVCaptureDevice.requestAccess(for: .video) else { throw CameraError.denied }
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      queue.async {
        do {
          try self.configure()
          self.session.startRunning()
          self.isStopped = false
          done.resume()
        } catch {
          done.resume(throwing: error)
        }
      }
    }
  }

  /// Wait for the next frame, upright; nil once the camera has stopped.
  func nextFrame() async -> RGBImage? {
    await withCheckedContinuation { (done: CheckedContinuation<RGBImage?, Never>) in
      queue.async {
        guard !self.isStopped, self.watcher == nil else {
          done.resume(returning: nil)
          return
        }
        self.watcher = done
      }
    }
  }

  private func answer(_ frame: RGBImage?) {
    watcher?.resume(returning: frame)
    watcher = nil
  }

  /// One element each time that another app or a call takes the camera away.
  func interruptions() -> NotificationCenter.Notifications {
    NotificationCenter.default.notifications(
      named: AVCaptureSession.wasInterruptedNotification, object: session)
  }

  /// One element each time that it comes back.
  func resumptions() -> NotificationCenter.Notifications {
    NotificationCenter.default.notifications(
      named: AVCaptureSession.interruptionEndedNotification, object: session)
  }

  func stop() {
    queue.async {
      self.isStopped = true
      self.answer(nil)
      self.session.stopRunning()
      self.finishPhoto(.failure(CameraError.noPhoto))
    }
  }

  /// Take one photo and return it encoded.
  func takePhoto() async throws -> Data {
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Data, any Error>) in
      queue.async {
        guard self.session.isRunning, self.waiting == nil else {
          done.resume(throwing: CameraError.noPhoto)
          return
        }
        self.waiting = done
        if let angle = self.rotation?.videoRotationAngleForHorizonLevelCapture,
          let connection = self.photoOutput.connection(with: .video),
          connection.isVideoRotationAngleSupported(angle)
        {
          connection.videoRotationAngle = angle
        }
        self.photoOutput.capturePhoto(with: AVCapturePhotoSettings(), delegate: self)
      }
    }
  }

  private func configure() throws {
    guard session.inputs.isEmpty else { return }
    guard
      let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back),
      let input = try? AVCaptureDeviceInput(device: device), session.canAddInput(input)
    else { throw CameraError.absent }
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    session.sessionPreset = .photo
    session.addInput(input)
    let videoOutput = AVCaptureVideoDataOutput()
    videoOutput.alwaysDiscardsLateVideoFrames = true
    videoOutput.videoSettings = [
      kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
    ]
    videoOutput.setSampleBufferDelegate(self, queue: queue)
    guard session.canAddOutput(videoOutput), session.canAddOutput(photoOutput) else {
      throw CameraError.absent
    }
    session.addOutput(videoOutput)
    session.addOutput(photoOutput)
    rotation = AVCaptureDevice.RotationCoordinator(device: device, previewLayer: nil)
  }

  private func finishPhoto(_ result: Result<Data, any Error>) {
    waiting?.resume(with: result)
    waiting = nil
  }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection
  ) {
    guard watcher != nil, let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
    CVPixelBufferLockBaseAddress(buffer, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
    guard let memory = CVPixelBufferGetBaseAddress(buffer) else { return }
    let stride = CVPixelBufferGetBytesPerRow(buffer)
    let height = CVPixelBufferGetHeight(buffer)
    let frame = RGBImage(
      pixels: UnsafeRawBufferPointer(start: memory, count: stride * height),
      width: CVPixelBufferGetWidth(buffer), height: height, rowStride: stride, order: .bgrx)
    let angle = rotation?.videoRotationAngleForHorizonLevelCapture ?? 90
    if let frame { answer(frame.upright(orientation: exifOrientation(angle: angle))) }
  }
}

/// The EXIF orientation of a sensor image that is upright after this clockwise turn, in degrees.
func exifOrientation(angle: Double) -> Int {
  switch (Int(angle.rounded()) % 360 + 360) % 360 {
  case 45..<135: 6
  case 135..<225: 3
  case 225..<315: 8
  default: 1
  }
}

extension Camera: AVCapturePhotoCaptureDelegate {
  func photoOutput(
    _ output: AVCapturePhotoOutput, didFinishProcessingPhoto photo: AVCapturePhoto,
    error: (any Error)?
  ) {
    let data = photo.fileDataRepresentation()
    queue.async {
      self.finishPhoto(data.map { .success($0) } ?? .failure(error ?? CameraError.noPhoto))
    }
  }

  /// A capture that fails before there is a photo ends here alone.
  func photoOutput(
    _ output: AVCapturePhotoOutput,
    didFinishCaptureFor resolvedSettings: AVCaptureResolvedPhotoSettings, error: (any Error)?
  ) {
    queue.async { self.finishPhoto(.failure(error ?? CameraError.noPhoto)) }
  }
}

/// What the camera sees, drawn by the system.
private struct CameraPreview: UIViewRepresentable {
  let session: AVCaptureSession

  func makeUIView(context: Context) -> PreviewView {
    let view = PreviewView()
    view.previewLayer?.session = session
    view.previewLayer?.videoGravity = .resizeAspectFill
    return view
  }

  func updateUIView(_ view: PreviewView, context: Context) {}

  final class PreviewView: UIView {
    override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

    var previewLayer: AVCaptureVideoPreviewLayer? { layer as? AVCaptureVideoPreviewLayer }
  }
}
