import CoreGraphics
import Foundation
import ImageIO
import LiteClassifier
import UIKit

/// The longest side of the photo on the screen, in pixels: a whole one takes 200 MB and more.
private let shownSide = 1280

/// The picture to show, upright and no larger than a screen needs; nil where it cannot be decoded.
func smallPicture(_ data: Data) -> UIImage? {
  let options: [String: Any] = [
    kCGImageSourceCreateThumbnailFromImageAlways as String: true,
    kCGImageSourceThumbnailMaxPixelSize as String: shownSide,
    kCGImageSourceCreateThumbnailWithTransform as String: true,
  ]
  return CGImageSourceCreateWithData(data as CFData, nil)
    .flatMap { CGImageSourceCreateThumbnailAtIndex($0, 0, options as CFDictionary) }
    .map { UIImage(cgImage: $0) }
}

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
      throw VisionError.photoUnreadable(why: "it cannot be decoded")
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
    throw VisionError.photoUnreadable(why: "it cannot be decoded")
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

/// Take the pixels as they are in the file, or draw them into memory whose layout we know.
private func rgb(_ image: CGImage) -> RGBImage? {
  if let stored = stored(image) { return stored }
  // In the picture's own color space nothing is converted: Python's loaders ignore profiles too.
  let own = image.colorSpace.flatMap { $0.model == .rgb ? $0 : nil }
  return own.flatMap { rgb(image, in: $0) } ?? rgb(image, in: CGColorSpaceCreateDeviceRGB())
}

/// Read the memory of a picture; nil for layouts that `StoredPicture` does not know.
private func stored(_ image: CGImage) -> RGBImage? {
  guard let picture = StoredPicture(image), let data = image.dataProvider?.data else { return nil }
  return (data as Data).withUnsafeBytes { picture.rgb($0) }
}

extension StoredPicture {
  /// Say in the package's words how a `CGImage` lies in memory.
  fileprivate init?(_ image: CGImage) {
    guard let space = image.colorSpace, let model = Model(space),
      let alpha = Alpha(image.alphaInfo),
      let order = Order(image.byteOrderInfo), !image.bitmapInfo.contains(.floatComponents)
    else { return nil }
    let components = model.components + (alpha == .none ? 0 : 1)
    guard image.bitsPerPixel == components * image.bitsPerComponent else { return nil }
    // The two ends that the smallest and the largest number of the first color stand for.
    let isInverted = image.decode.map { $0[0] > $0[1] } ?? false
    self.init(
      width: image.width, height: image.height, bitsPerComponent: image.bitsPerComponent,
      bytesPerRow: image.bytesPerRow, model: model, alpha: alpha, order: order,
      isInverted: isInverted)
  }
}

extension StoredPicture.Model {
  fileprivate init?(_ space: CGColorSpace) {
    switch space.model {
    case .monochrome: self = .gray
    case .rgb: self = .rgb
    case .cmyk: self = .cmyk
    case .indexed:
      // A palette of another space has other numbers in it.
      guard space.baseColorSpace?.model == .rgb, let table = space.colorTable else { return nil }
      self = .indexed(table: table)
    default: return nil
    }
  }
}

extension StoredPicture.Alpha {
  fileprivate init?(_ info: CGImageAlphaInfo) {
    switch info {
    case .none: self = .none
    case .last: self = .last
    case .first: self = .first
    case .premultipliedLast: self = .premultipliedLast
    case .premultipliedFirst: self = .premultipliedFirst
    case .noneSkipLast: self = .skipLast
    case .noneSkipFirst: self = .skipFirst
    default: return nil
    }
  }
}

extension StoredPicture.Order {
  fileprivate init?(_ info: CGImageByteOrderInfo) {
    switch info {
    case .orderDefault, .order16Big, .order32Big: self = .big
    case .order16Little: self = .little16
    case .order32Little: self = .little32
    default: return nil
    }
  }
}

private func rgb(_ image: CGImage, in space: CGColorSpace) -> RGBImage? {
  let isOpaque = [.none, .noneSkipFirst, .noneSkipLast].contains(image.alphaInfo)
  // A context has no colors beside their alpha.
  let layout: CGImageAlphaInfo = isOpaque ? .noneSkipLast : .premultipliedLast
  guard
    let context = CGContext(
      data: nil, width: image.width, height: image.height, bitsPerComponent: 8, bytesPerRow: 0,
      space: space, bitmapInfo: layout.rawValue)
  else { return nil }
  context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
  guard let memory = context.data else { return nil }
  return RGBImage(
    pixels: UnsafeRawBufferPointer(start: memory, count: context.bytesPerRow * context.height),
    width: context.width, height: context.height, rowStride: context.bytesPerRow,
    order: isOpaque ? .rgbx : .rgba, isPremultiplied: !isOpaque)
}
