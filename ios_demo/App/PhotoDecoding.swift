import CoreGraphics
import Foundation
import ImageIO
import LiteClassifier

extension Photo {
  /// Take an encoded picture (JPEG, HEIC, PNG ...) as the photo library or the camera has it.
  ///
  /// Throws a sentence when it is none. It is decoded only when a model has said how large.
  init(encoded data: Data) throws {
    guard let source = CGImageSourceCreateWithData(data as CFData, nil),
      let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [String: Any],
      let width = properties[kCGImagePropertyPixelWidth as String] as? Int,
      let height = properties[kCGImagePropertyPixelHeight as String] as? Int
    else {
      throw ModelError.input(why: "This picture cannot be decoded. Choose another one.")
    }
    let orientation = properties[kCGImagePropertyOrientation as String] as? Int ?? 1
    let isTurned = (5...8).contains(orientation)
    self.init(width: isTurned ? height : width, height: isTurned ? width : height) { sample in
      let longSide = (max(width, height) + sample - 1) / sample
      return try decodeStored(data, longSide: sample == 1 ? nil : longSide)
        .upright(orientation: orientation)
    }
  }
}

/// Decode as stored, not yet upright. `longSide` nil: at full size.
private func decodeStored(_ data: Data, longSide: Int?) throws -> RGBImage {
  guard let source = CGImageSourceCreateWithData(data as CFData, nil),
    let image = longSide.map({ thumbnail(source, $0) })
      ?? CGImageSourceCreateImageAtIndex(source, 0, nil),
    let pixels = rgb(image)
  else {
    throw ModelError.input(why: "This picture cannot be decoded. Choose another one.")
  }
  return pixels
}

private func thumbnail(_ source: CGImageSource, _ longSide: Int) -> CGImage? {
  let options: [String: Any] = [
    // A thumbnail stored in the file may be cropped or edited otherwise.
    kCGImageSourceCreateThumbnailFromImageAlways as String: true,
    kCGImageSourceThumbnailMaxPixelSize as String: longSide,
    // Turning it upright is ours, tested with all eight orientations.
    kCGImageSourceCreateThumbnailWithTransform as String: false,
  ]
  return CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
}

/// Draw into memory whose layout we know, and take the RGB bytes out of it.
private func rgb(_ image: CGImage) -> RGBImage? {
  // In the picture's own color space nothing is converted: Python's loaders ignore profiles too.
  let own = image.colorSpace.flatMap { $0.model == .rgb ? $0 : nil }
  return own.flatMap { rgb(image, in: $0) } ?? rgb(image, in: CGColorSpaceCreateDeviceRGB())
}

private func rgb(_ image: CGImage, in space: CGColorSpace) -> RGBImage? {
  guard
    let context = CGContext(
      data: nil, width: image.width, height: image.height, bitsPerComponent: 8, bytesPerRow: 0,
      space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
  else { return nil }
  context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
  guard let memory = context.data else { return nil }
  return RGBImage(
    pixels: UnsafeRawBufferPointer(start: memory, count: context.bytesPerRow * context.height),
    width: context.width, height: context.height, rowStride: context.bytesPerRow, order: .rgbx)
}
