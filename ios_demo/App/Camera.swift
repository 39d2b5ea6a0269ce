// Apple's headers do not say of every class here whether it may be shared; where they are silent,
// this file follows what the documentation says.
@preconcurrency import AVFoundation
import LiteClassifier

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

/// A camera of the device, with frames for the live preview and whole photos.
///
/// Starting and stopping a session blocks: the actor has a thread of its own. Whoever is called back
/// by AVFoundation, on its threads, holds only what may be shared.
actor Camera {
  /// What the camera in use can do.
  struct Abilities: Equatable, Sendable {
    /// Whether there is a camera on the other side, too.
    var turns = false
    /// How much it magnifies at most; 1 where it does not.
    var zoom = 1.0
    var hasLight = false
  }

  /// For the preview, which draws what it captures.
  nonisolated let session = AVCaptureSession()
  private nonisolated let executor = BlockingExecutor(label: "camera")
  private nonisolated let gate = FrameGate()
  private nonisolated let frameQueue = DispatchQueue(label: "frames")
  private let photoOutput = AVCapturePhotoOutput()
  private let videoOutput = AVCaptureVideoDataOutput()
  private var position = AVCaptureDevice.Position.back
  private var device: AVCaptureDevice?
  private var frames: FrameReader?
  private var capture: PhotoReader?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Ask for permission where needed, and start. Throws `CameraError`.
  func start() async throws -> Abilities {
    guard await AVCaptureDevice.requestAccess(for: .video) else { throw CameraError.denied }
    try configure()
    session.startRunning()
    gate.open()
    return abilities
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

  /// Start again after an error that stopped the session; whether it runs.
  func restart() -> Bool {
    if !session.isRunning { session.startRunning() }
    return session.isRunning
  }

  // MARK: What happens to it

  /// One element each time that another app or a call takes the camera away.
  nonisolated func interruptions() -> AsyncMapSequence<NotificationCenter.Notifications, Void> {
    events(AVCaptureSession.wasInterruptedNotification)
  }

  /// One element each time that it comes back.
  nonisolated func resumptions() -> AsyncMapSequence<NotificationCenter.Notifications, Void> {
    events(AVCaptureSession.interruptionEndedNotification)
  }

  /// One element each time that the session ends by itself.
  nonisolated func failures() -> AsyncMapSequence<NotificationCenter.Notifications, Void> {
    events(AVCaptureSession.runtimeErrorNotification)
  }

  private nonisolated func events(_ name: Notification.Name)
    -> AsyncMapSequence<NotificationCenter.Notifications, Void>
  {
    // A notification may hold anything, and stays on its side.
    NotificationCenter.default.notifications(named: name, object: session).map { _ in }
  }

  // MARK: What the user turns

  /// Go on with the camera on the other side; the one in use stays where there is none.
  func turn() -> Abilities {
    let other = position == .back ? AVCaptureDevice.Position.front : .back
    let before = session.inputs
    session.beginConfiguration()
    before.forEach(session.removeInput)
    if let found = Self.camera(other), let input = try? AVCaptureDeviceInput(device: found),
      session.canAddInput(input)
    {
      position = other
      take(found, input)
    } else {
      before.forEach(session.addInput)
    }
    session.commitConfiguration()
    return abilities
  }

  /// Magnify `factor` times, 1 to what the abilities say.
  func zoom(to factor: Double) {
    configure { $0.videoZoomFactor = min(max(factor, 1), abilities.zoom) }
  }

  /// Switch the light on or off, where there is one.
  func light(_ isOn: Bool) {
    configure { if $0.hasTorch { $0.torchMode = isOn ? .on : .off } }
  }

  /// A camera that is in use elsewhere stays as it is.
  private func configure(_ change: (AVCaptureDevice) -> Void) {
    guard let device, (try? device.lockForConfiguration()) != nil else { return }
    change(device)
    device.unlockForConfiguration()
  }

  /// More is only larger pixels.
  private static let mostZoom = 8.0

  private var abilities: Abilities {
    Abilities(
      turns: Self.camera(.front) != nil && Self.camera(.back) != nil,
      zoom: min(device.map { Double($0.maxAvailableVideoZoomFactor) } ?? 1, Self.mostZoom),
      hasLight: device?.hasTorch ?? false)
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

  // MARK: Setting it up

  /// A network sees a few hundred pixels: larger frames would only be copied and thrown away.
  private static let live = AVCaptureSession.Preset.vga640x480

  private func use(_ preset: AVCaptureSession.Preset) {
    guard session.canSetSessionPreset(preset) else { return }
    session.beginConfiguration()
    session.sessionPreset = preset
    session.commitConfiguration()
  }

  private static func camera(_ position: AVCaptureDevice.Position) -> AVCaptureDevice? {
    AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: position)
  }

  /// The back camera, or the front one of a device that has only that.
  private func configure() throws {
    guard session.inputs.isEmpty else { return }
    position = Self.camera(.back) == nil ? .front : .back
    guard let found = Self.camera(position), let input = try? AVCaptureDeviceInput(device: found),
      session.canAddInput(input)
    else { throw CameraError.absent }
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    videoOutput.alwaysDiscardsLateVideoFrames = true
    videoOutput.videoSettings = [
      kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
    ]
    guard session.canAddOutput(videoOutput), session.canAddOutput(photoOutput) else {
      throw CameraError.absent
    }
    session.addOutput(videoOutput)
    session.addOutput(photoOutput)
    take(found, input)
    if session.canSetSessionPreset(Self.live) { session.sessionPreset = Self.live }
  }

  /// Which way is up is told for each camera by itself.
  private func take(_ found: AVCaptureDevice, _ input: AVCaptureDeviceInput) {
    session.addInput(input)
    let reader = FrameReader(
      gate: gate, rotation: AVCaptureDevice.RotationCoordinator(device: found, previewLayer: nil))
    videoOutput.setSampleBufferDelegate(reader, queue: frameQueue)
    (device, frames) = (found, reader)
  }
}
