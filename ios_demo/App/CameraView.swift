@preconcurrency import AVFoundation
import LiteClassifier
import SwiftUI
import UIKit

/// The live camera: says what the model makes of it, and takes a photo to be looked at properly.
struct CameraView: View {
  let model: ClassifierModel
  /// Gets the encoded photo after the camera has closed.
  let take: (Data) async -> Void
  @State private var camera = Camera()
  @State private var failure: String?
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
      }
      if let live = model.live {
        Text(live.presentation.summary)
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
        if let milliseconds = model.live?.milliseconds {
          Text(String(format: "%.0f ms", milliseconds)).monospacedDigit()
        }
      }
      .padding()
    }
    .task { await watch() }
  }

  /// Run the model on frames until the view goes; the stream keeps only the newest one.
  private func watch() async {
    do {
      try await camera.start()
      for await frame in camera.frames {
        await model.runLive(frame)
      }
    } catch {
      failure = error.localizedDescription
    }
    camera.stop()
    model.stopLive()
  }

  private func shoot() async {
    do {
      let data = try await camera.takePhoto()
      dismiss()
      await take(data)
    } catch {
      failure = error.localizedDescription
    }
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
/// The session is only touched on `queue`, as AVFoundation asks; the photo's continuation as well.
final class Camera: NSObject, @unchecked Sendable {
  let session = AVCaptureSession()
  let frames: AsyncStream<RGBImage>
  private let frameSink: AsyncStream<RGBImage>.Continuation
  private let queue = DispatchQueue(label: "camera")
  private let photoOutput = AVCapturePhotoOutput()
  private var rotation: AVCaptureDevice.RotationCoordinator?
  private var waiting: CheckedContinuation<Data, any Error>?

  override init() {
    (frames, frameSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    super.init()
  }

  /// Ask for permission where needed, and start. Throws `CameraError`.
  func start() async throws {
    guard await AVCaptureDevice.requestAccess(for: .video) else { throw CameraError.denied }
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      queue.async {
        do {
          try self.configure()
          self.session.startRunning()
          done.resume()
        } catch {
          done.resume(throwing: error)
        }
      }
    }
  }

  func stop() {
    frameSink.finish()
    queue.async {
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
    guard let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
    CVPixelBufferLockBaseAddress(buffer, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
    guard let memory = CVPixelBufferGetBaseAddress(buffer) else { return }
    let stride = CVPixelBufferGetBytesPerRow(buffer)
    let height = CVPixelBufferGetHeight(buffer)
    let frame = RGBImage(
      pixels: UnsafeRawBufferPointer(start: memory, count: stride * height),
      width: CVPixelBufferGetWidth(buffer), height: height, rowStride: stride, order: .bgra)
    let angle = rotation?.videoRotationAngleForHorizonLevelCapture ?? 90
    if let frame { frameSink.yield(frame.upright(orientation: exifOrientation(angle: angle))) }
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
