@_exported import CoreGraphics

public final class CGImageSource {}

public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource?
{ nil }
public func CGImageSourceCopyPropertiesAtIndex(
  _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CFDictionary? { nil }
public func CGImageSourceCreateImageAtIndex(
  _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CGImage? { nil }
public func CGImageSourceCreateThumbnailAtIndex(
  _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CGImage? { nil }

public var kCGImagePropertyPixelWidth: CFString { "" }
public var kCGImagePropertyPixelHeight: CFString { "" }
public var kCGImagePropertyOrientation: CFString { "" }
public var kCGImageSourceCreateThumbnailFromImageAlways: CFString { "" }
public var kCGImageSourceThumbnailMaxPixelSize: CFString { "" }
public var kCGImageSourceCreateThumbnailWithTransform: CFString { "" }
