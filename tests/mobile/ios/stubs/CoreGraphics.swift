@_exported import Foundation

// Foundation on Linux has the geometry; the rest of CoreGraphics's names are here.
public final class CGColorSpace {
  public var model: CGColorSpaceModel { fatalError() }
}
public enum CGColorSpaceModel { case monochrome, rgb, cmyk }
public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError() }

public final class CGImage {
  public var width: Int { fatalError() }
  public var height: Int { fatalError() }
  public var colorSpace: CGColorSpace? { fatalError() }
}
public enum CGImageAlphaInfo: UInt32 { case none, noneSkipLast }

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
