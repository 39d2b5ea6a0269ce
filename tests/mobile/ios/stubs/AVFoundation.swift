// What the app uses of AVFoundation. Some of it does something: `camera_main.swift` is a camera's
// test on Linux, with devices and frames that it makes up.
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
  /// What a test puts here is there.
  nonisolated(unsafe) public static var present: [Position: AVCaptureDevice] = [:]
  nonisolated(unsafe) public static var isAllowed = false
  public enum TorchMode { case off, on, auto }
  public let hasTorch: Bool
  public var torchMode = TorchMode.off
  public var videoZoomFactor: CGFloat = 1
  public let maxAvailableVideoZoomFactor: CGFloat
  public init(zoom: CGFloat, hasTorch: Bool) {
    (maxAvailableVideoZoomFactor, self.hasTorch) = (zoom, hasTorch)
  }
  public func lockForConfiguration() throws {}
  public func unlockForConfiguration() {}

  public static func requestAccess(for type: AVMediaType) async -> Bool { isAllowed }
  public static func `default`(
    _ type: DeviceType, for media: AVMediaType?, position: Position
  ) -> AVCaptureDevice? { present[position] }

  public class RotationCoordinator {
    public init(device: AVCaptureDevice, previewLayer: CALayer?) {}
    public var videoRotationAngleForHorizonLevelCapture: CGFloat { 0 }
    public var videoRotationAngleForHorizonLevelPreview: CGFloat { 0 }
    // NSObject's on Apple's systems.
    public func observe<Value>(
      _ path: KeyPath<RotationCoordinator, Value>, options: NSKeyValueObservingOptions = [],
      changeHandler: @escaping @Sendable (RotationCoordinator, Value) -> Void
    ) -> NSKeyValueObservation { NSKeyValueObservation() }
  }
}

public class NSKeyValueObservation {}
public struct NSKeyValueObservingOptions: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }
  public static let new = NSKeyValueObservingOptions(rawValue: 1)
  public static let initial = NSKeyValueObservingOptions(rawValue: 4)
}

public class AVCaptureDeviceInput: AVCaptureInput {
  public let device: AVCaptureDevice
  public init(device: AVCaptureDevice) throws { self.device = device }
}

public class AVCaptureSession {
  public struct Preset: Equatable, Sendable {
    let name: String
    public static let photo = Preset(name: "photo")
    public static let vga640x480 = Preset(name: "640x480")
  }
  public static let wasInterruptedNotification = Notification.Name("interrupted")
  public static let interruptionEndedNotification = Notification.Name("resumed")
  public static let runtimeErrorNotification = Notification.Name("failed")
  public init() {}
  public var sessionPreset = Preset.photo
  public func canSetSessionPreset(_ preset: Preset) -> Bool { true }
  public private(set) var inputs: [AVCaptureInput] = []
  public private(set) var outputs: [AVCaptureOutput] = []
  public private(set) var isRunning = false
  public func canAddInput(_ input: AVCaptureInput) -> Bool { true }
  public func addInput(_ input: AVCaptureInput) { inputs.append(input) }
  public func removeInput(_ input: AVCaptureInput) { inputs.removeAll { $0 === input } }
  public func canAddOutput(_ output: AVCaptureOutput) -> Bool { true }
  public func addOutput(_ output: AVCaptureOutput) { outputs.append(output) }
  public func beginConfiguration() {}
  public func commitConfiguration() {}
  public func startRunning() { isRunning = true }
  public func stopRunning() { isRunning = false }
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
  public private(set) var delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?
  public func setSampleBufferDelegate(
    _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
  ) { self.delegate = delegate }
}

public protocol AVCapturePhotoCaptureDelegate: AnyObject {
  func photoOutput(
    _ output: AVCapturePhotoOutput, didFinishProcessingPhoto photo: AVCapturePhoto,
    error: (any Error)?)
  func photoOutput(
    _ output: AVCapturePhotoOutput,
    didFinishCaptureFor resolvedSettings: AVCaptureResolvedPhotoSettings, error: (any Error)?)
}

public class AVCaptureResolvedPhotoSettings {
  public init() {}
}

public class AVCapturePhotoSettings {
  public init() {}
}
public class AVCapturePhoto {
  let data: Data?
  public init(_ data: Data?) { self.data = data }
  public func fileDataRepresentation() -> Data? { data }
}
public class AVCapturePhotoOutput: AVCaptureOutput {
  public override init() {}
  public func capturePhoto(
    with settings: AVCapturePhotoSettings, delegate: any AVCapturePhotoCaptureDelegate
  ) { shoot?(self, delegate) }
  /// What a test does with a shot.
  public var shoot: ((AVCapturePhotoOutput, any AVCapturePhotoCaptureDelegate) -> Void)?
}

public struct AVLayerVideoGravity: Sendable {
  public static let resizeAspectFill = AVLayerVideoGravity()
}
public class AVCaptureVideoPreviewLayer: CALayer {
  public var session: AVCaptureSession?
  public var connection: AVCaptureConnection? { nil }
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

public class CMSampleBuffer {
  let image: CVBuffer?
  public init(_ image: CVBuffer?) { self.image = image }
}
public class CVBuffer {
  let (width, height, stride): (Int, Int, Int)
  let memory: UnsafeMutableRawPointer
  /// How often it was locked, and how often that was undone.
  public private(set) var locks = 0
  public private(set) var unlocks = 0
  public init(width: Int, height: Int, stride: Int, memory: UnsafeMutableRawPointer) {
    (self.width, self.height, self.stride, self.memory) = (width, height, stride, memory)
  }
  func lock() -> Int32 {
    locks += 1
    return 0
  }
  func unlock() -> Int32 {
    unlocks += 1
    return 0
  }
}
public typealias CVPixelBuffer = CVBuffer
public typealias CVImageBuffer = CVBuffer
public struct CVPixelBufferLockFlags: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}

public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVImageBuffer? { buffer.image }
@discardableResult public func CVPixelBufferLockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> Int32 { buffer.lock() }
@discardableResult public func CVPixelBufferUnlockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> Int32 { buffer.unlock() }
public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
  buffer.memory
}
public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { buffer.stride }
public func CVPixelBufferGetWidth(_ buffer: CVPixelBuffer) -> Int { buffer.width }
public func CVPixelBufferGetHeight(_ buffer: CVPixelBuffer) -> Int { buffer.height }
nonisolated(unsafe) public let kCVPixelBufferPixelFormatTypeKey: NSString = ""
public let kCVPixelFormatType_32BGRA: UInt32 = 0
