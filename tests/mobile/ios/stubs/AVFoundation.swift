@_exported import Dispatch
@_exported import Foundation
import UIKit

public struct AVMediaType: Sendable {
  public static let video = AVMediaType()
}

public class AVCaptureInput {}
public class AVCaptureOutput {
  public func connection(with type: AVMediaType) -> AVCaptureConnection? { nil }
}
public class AVCaptureConnection {
  public var videoRotationAngle: CGFloat = 0
  public func isVideoRotationAngleSupported(_ angle: CGFloat) -> Bool { false }
}

public class AVCaptureDevice {
  public struct DeviceType {
    public static let builtInWideAngleCamera = DeviceType()
  }
  public enum Position: Sendable { case back, front }
  public enum TorchMode { case off, on, auto }
  public var hasTorch: Bool { false }
  public var torchMode = TorchMode.off
  public var videoZoomFactor: CGFloat = 1
  public var maxAvailableVideoZoomFactor: CGFloat { 1 }
  public func lockForConfiguration() throws {}
  public func unlockForConfiguration() {}

  public static func requestAccess(for type: AVMediaType) async -> Bool { false }
  public static func `default`(
    _ type: DeviceType, for media: AVMediaType?, position: Position
  ) -> AVCaptureDevice? { nil }

  public class RotationCoordinator {
    public init(device: AVCaptureDevice, previewLayer: CALayer?) {}
    public var videoRotationAngleForHorizonLevelCapture: CGFloat { 0 }
  }
}

public class AVCaptureDeviceInput: AVCaptureInput {
  public init(device: AVCaptureDevice) throws {}
}

public class AVCaptureSession {
  public struct Preset: Sendable {
    public static let photo = Preset()
    public static let vga640x480 = Preset()
  }
  public static let wasInterruptedNotification = Notification.Name("interrupted")
  public static let interruptionEndedNotification = Notification.Name("resumed")
  public static let runtimeErrorNotification = Notification.Name("failed")
  public init() {}
  public var sessionPreset = Preset.photo
  public func canSetSessionPreset(_ preset: Preset) -> Bool { false }
  public var inputs: [AVCaptureInput] { [] }
  public var isRunning: Bool { false }
  public func canAddInput(_ input: AVCaptureInput) -> Bool { false }
  public func addInput(_ input: AVCaptureInput) {}
  public func removeInput(_ input: AVCaptureInput) {}
  public func canAddOutput(_ output: AVCaptureOutput) -> Bool { false }
  public func addOutput(_ output: AVCaptureOutput) {}
  public func beginConfiguration() {}
  public func commitConfiguration() {}
  public func startRunning() {}
  public func stopRunning() {}
}

// Objective-C protocols with optional requirements: here every requirement has a default.
public protocol AVCaptureVideoDataOutputSampleBufferDelegate: AnyObject {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection)
}

public class AVCaptureVideoDataOutput: AVCaptureOutput {
  public override init() {}
  public var alwaysDiscardsLateVideoFrames = true
  public var videoSettings: [String: Any]! = [:]
  public func setSampleBufferDelegate(
    _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
  ) {}
}

public protocol AVCapturePhotoCaptureDelegate: AnyObject {
  func photoOutput(
    _ output: AVCapturePhotoOutput, didFinishProcessingPhoto photo: AVCapturePhoto,
    error: (any Error)?)
  func photoOutput(
    _ output: AVCapturePhotoOutput,
    didFinishCaptureFor resolvedSettings: AVCaptureResolvedPhotoSettings, error: (any Error)?)
}

public class AVCaptureResolvedPhotoSettings {}

public class AVCapturePhotoSettings {
  public init() {}
}
public class AVCapturePhoto {
  public func fileDataRepresentation() -> Data? { nil }
}
public class AVCapturePhotoOutput: AVCaptureOutput {
  public override init() {}
  public func capturePhoto(
    with settings: AVCapturePhotoSettings, delegate: any AVCapturePhotoCaptureDelegate
  ) {}
}

public struct AVLayerVideoGravity: Sendable {
  public static let resizeAspectFill = AVLayerVideoGravity()
}
public class AVCaptureVideoPreviewLayer: CALayer {
  public var session: AVCaptureSession?
  public var videoGravity = AVLayerVideoGravity.resizeAspectFill
}

// MARK: Notifications

extension NotificationCenter {
  public final class Notifications: AsyncSequence {
    public typealias Element = Notification
    public struct AsyncIterator: AsyncIteratorProtocol {
      public mutating func next() async -> Notification? { nil }
    }
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
  }
  public func notifications(named name: Notification.Name, object: AnyObject? = nil)
    -> Notifications
  { Notifications() }
}

// MARK: Core Media and Core Video

public class CMSampleBuffer {}
public class CVBuffer {}
public typealias CVPixelBuffer = CVBuffer
public typealias CVImageBuffer = CVBuffer
public struct CVPixelBufferLockFlags: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}

public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVImageBuffer? { nil }
@discardableResult public func CVPixelBufferLockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> Int32 { 0 }
@discardableResult public func CVPixelBufferUnlockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> Int32 { 0 }
public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? { nil }
public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { 0 }
public func CVPixelBufferGetWidth(_ buffer: CVPixelBuffer) -> Int { 0 }
public func CVPixelBufferGetHeight(_ buffer: CVPixelBuffer) -> Int { 0 }
nonisolated(unsafe) public let kCVPixelBufferPixelFormatTypeKey: NSString = ""
public let kCVPixelFormatType_32BGRA: UInt32 = 0
