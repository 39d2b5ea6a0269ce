@preconcurrency import AVFoundation
import LiteClassifier
import os

/// Offers the frames to the gate, which takes those that somebody waits for.
final class FrameReader: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
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
    // Before the frame's memory is locked, let alone read.
    guard gate.isAwaited, let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
    CVPixelBufferLockBaseAddress(buffer, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
    guard let memory = CVPixelBufferGetBaseAddress(buffer) else { return }
    let stride = CVPixelBufferGetBytesPerRow(buffer)
    let height = CVPixelBufferGetHeight(buffer)
    gate.offer(
      pixels: UnsafeRawBufferPointer(start: memory, count: stride * height),
      width: CVPixelBufferGetWidth(buffer), height: height, rowStride: stride, order: .bgrx,
      orientation: exifOrientation(angle: angle))
  }
}

/// Gets one photo, and answers once.
final class PhotoReader: NSObject, AVCapturePhotoCaptureDelegate, Sendable {
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
