// Apple's headers do not say of every class here whether it may be shared; where they are silent,
// this file follows what the documentation says.
@preconcurrency import AVFoundation
import LiteClassifier
import os

/// Why there are no pictures, as sentences.
enum CameraError: LocalizedError {
  case denied, absent, noPhoto

  var errorDescription: String? {
    switch self {
    case .denied:
      String(localized: "This app may not use the camera. Allow it in Settings, under Privacy.")
    case .absent:
      String(localized: "This device has no camera that can be used. Choose a photo instead.")
    case .noPhoto:
      String(localized: "The camera gave no photo. Try again.")
    }
  }
}

/// The back camera, with frames for the live preview and whole photos.
///
/// Starting and stopping a session blocks: the actor has a thread of its own. Whoever is called back
/// by AVFoundation, on its threads, holds only what may be shared.
actor Camera {
  /// For the preview, which draws what it captures.
  nonisolated let session = AVCaptureSession()
  private nonisolated let executor = BlockingExecutor(label: "camera")
  private nonisolated let gate = FrameGate()
  private let photoOutput = AVCapturePhotoOutput()
  private var frames: FrameReader?
  private var capture: PhotoReader?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Ask for permission where needed, and start. Throws `CameraError`.
  func start() async throws {
    guard await AVCaptureDevice.requestAccess(for: .video) else { throw CameraError.denied }
    try configure()
    session.startRunning()
    gate.open()
  }

  /// Wait for the next frame, upright; nil once the camera has stopped.
  nonisolated func nextFrame() async -> RGBImage? { await gate.next() }

  /// End at once for those who wait, and soon for the camera.
  nonisolated func stop() {
    gate.close()
    Task { await end() }
  }

  private func end() {
    session.stopRunning()
    capture?.finish(.failure(CameraError.noPhoto))
  }

  /// One element each time that another app or a call takes the camera away.
  nonisolated func interruptions() -> AsyncMapSequence<NotificationCenter.Notifications, Void> {
    events(AVCaptureSession.wasInterruptedNotification)
  }

  /// One element each time that it comes back.
  nonisolated func resumptions() -> AsyncMapSequence<NotificationCenter.Notifications, Void> {
    events(AVCaptureSession.interruptionEndedNotification)
  }

  private nonisolated func events(_ name: Notification.Name)
    -> AsyncMapSequence<NotificationCenter.Notifications, Void>
  {
    // A notification may hold anything, and stays on its side.
    NotificationCenter.default.notifications(named: name, object: session).map { _ in }
  }

  /// Take one photo, as large as the camera makes it, and return it encoded.
  func takePhoto() async throws -> Data {
    guard session.isRunning, capture == nil else { throw CameraError.noPhoto }
    use(.photo)
    defer {
      capture = nil
      use(Self.live)
    }
    if let angle = frames?.angle, let connection = photoOutput.connection(with: .video),
      connection.isVideoRotationAngleSupported(angle)
    {
      connection.videoRotationAngle = angle
    }
    return try await withCheckedThrowingContinuation { done in
      let reader = PhotoReader(done)
      capture = reader
      photoOutput.capturePhoto(with: AVCapturePhotoSettings(), delegate: reader)
    }
  }

  /// A network sees a few hundred pixels: larger frames would only be copied and thrown away.
  private static let live = AVCaptureSession.Preset.vga640x480

  private func use(_ preset: AVCaptureSession.Preset) {
    guard session.canSetSessionPreset(preset) else { return }
    session.beginConfiguration()
    session.sessionPreset = preset
    session.commitConfiguration()
  }

  private func configure() throws {
    guard session.inputs.isEmpty else { return }
    guard
      let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back),
      let input = try? AVCaptureDeviceInput(device: device), session.canAddInput(input)
    else { throw CameraError.absent }
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    session.addInput(input)
    let reader = FrameReader(
      gate: gate,
      rotation: AVCaptureDevice.RotationCoordinator(device: device, previewLayer: nil))
    let videoOutput = AVCaptureVideoDataOutput()
    videoOutput.alwaysDiscardsLateVideoFrames = true
    videoOutput.videoSettings = [
      kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
    ]
    videoOutput.setSampleBufferDelegate(reader, queue: DispatchQueue(label: "frames"))
    guard session.canAddOutput(videoOutput), session.canAddOutput(photoOutput) else {
      throw CameraError.absent
    }
    session.addOutput(videoOutput)
    session.addOutput(photoOutput)
    if session.canSetSessionPreset(Self.live) { session.sessionPreset = Self.live }
    frames = reader
  }
}

/// Who waits for the next frame.
private final class FrameGate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: CheckedContinuation<RGBImage?, Never>?
  }

  private let state = OSAllocatedUnfairLock(initialState: State())

  var isAwaited: Bool { state.withLock { $0.waiting != nil } }

  func open() { state.withLock { $0.isOpen = true } }

  func close() {
    state.withLock { $0.isOpen = false }
    answer(nil)
  }

  /// Wait for a frame; nil while closed, and for a second one who waits.
  func next() async -> RGBImage? {
    await withCheckedContinuation { (done: CheckedContinuation<RGBImage?, Never>) in
      let waits = state.withLock { state in
        guard state.isOpen, state.waiting == nil else { return false }
        state.waiting = done
        return true
      }
      if !waits { done.resume(returning: nil) }
    }
  }

  func answer(_ frame: RGBImage?) {
    let waiting = state.withLock { state in
      defer { state.waiting = nil }
      return state.waiting
    }
    waiting?.resume(returning: frame)
  }
}

/// Converts the frames that somebody waits for; the others are dropped untouched.
private final class FrameReader: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
  private let gate: FrameGate
  private let rotation: AVCaptureDevice.RotationCoordinator

  init(gate: FrameGate, rotation: AVCaptureDevice.RotationCoordinator) {
    (self.gate, self.rotation) = (gate, rotation)
  }

  /// By how many degrees a picture is turned clockwise to be upright.
  var angle: CGFloat { rotation.videoRotationAngleForHorizonLevelCapture }

  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection
  ) {
    guard gate.isAwaited, let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
    CVPixelBufferLockBaseAddress(buffer, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
    guard let memory = CVPixelBufferGetBaseAddress(buffer) else { return }
    let stride = CVPixelBufferGetBytesPerRow(buffer)
    let height = CVPixelBufferGetHeight(buffer)
    let frame = RGBImage(
      pixels: UnsafeRawBufferPointer(start: memory, count: stride * height),
      width: CVPixelBufferGetWidth(buffer), height: height, rowStride: stride, order: .bgrx)
    if let frame { gate.answer(frame.upright(orientation: exifOrientation(angle: angle))) }
  }
}

/// Gets one photo, and answers once.
private final class PhotoReader: NSObject, AVCapturePhotoCaptureDelegate, Sendable {
  private let waiting: OSAllocatedUnfairLock<CheckedContinuation<Data, any Error>?>

  init(_ done: CheckedContinuation<Data, any Error>) {
    waiting = OSAllocatedUnfairLock(initialState: done)
  }

  func finish(_ result: Result<Data, any Error>) {
    let done = waiting.withLock { held in
      defer { held = nil }
      return held
    }
    done?.resume(with: result)
  }

  func photoOutput(
    _ output: AVCapturePhotoOutput, didFinishProcessingPhoto photo: AVCapturePhoto,
    error: (any Error)?
  ) {
    let data = photo.fileDataRepresentation()
    finish(data.map { .success($0) } ?? .failure(error ?? CameraError.noPhoto))
  }

  /// A capture that fails before there is a photo ends here alone.
  func photoOutput(
    _ output: AVCapturePhotoOutput,
    didFinishCaptureFor resolvedSettings: AVCaptureResolvedPhotoSettings, error: (any Error)?
  ) {
    finish(.failure(error ?? CameraError.noPhoto))
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
