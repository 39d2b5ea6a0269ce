@_exported import Foundation

public typealias CFData = NSData
public typealias CFDictionary = NSDictionary
public typealias CFString = NSString

// Foundation on Linux has the geometry; the rest of CoreGraphics's names are here.
public final class CGColorSpace {
  public var model: CGColorSpaceModel { fatalError() }
  public var baseColorSpace: CGColorSpace? { nil }
  public var colorTable: [UInt8]? { nil }
}
public enum CGColorSpaceModel {
  case unknown, monochrome, rgb, cmyk, lab, deviceN, indexed, pattern, XYZ
}
public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError() }

public final class CGDataProvider {
  public init?(data: CFData) {}
  public var data: CFData? { nil }
}
public enum CGColorRenderingIntent { case defaultIntent }
public struct CGBitmapInfo: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let floatComponents = CGBitmapInfo(rawValue: 256)
}

public final class CGImage {
  public init?(
    width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int,
    space: CGColorSpace, bitmapInfo: CGBitmapInfo, provider: CGDataProvider,
    decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool, intent: CGColorRenderingIntent
  ) {}
  public var width: Int { fatalError() }
  public var height: Int { fatalError() }
  public var colorSpace: CGColorSpace? { fatalError() }
  public var alphaInfo: CGImageAlphaInfo { fatalError() }
  public var byteOrderInfo: CGImageByteOrderInfo { fatalError() }
  public var bitmapInfo: CGBitmapInfo { fatalError() }
  public var decode: UnsafePointer<CGFloat>? { nil }
  public var bitsPerComponent: Int { fatalError() }
  public var bitsPerPixel: Int { fatalError() }
  public var bytesPerRow: Int { fatalError() }
  public var dataProvider: CGDataProvider? { fatalError() }
}
public enum CGImageAlphaInfo: UInt32 {
  case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst
  case alphaOnly
}
public enum CGImageByteOrderInfo: UInt32 {
  case orderMask, orderDefault, order16Little, order32Little, order16Big, order32Big
}

public final class CGContext {
  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
    bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
  ) {}
  public func draw(_ image: CGImage, in rect: CGRect) {}
  public var data: UnsafeMutableRawPointer? { fatalError() }
  public var bytesPerRow: Int { fatalError() }
  public var width: Int { fatalError() }
  public var height: Int { fatalError() }
}
