import Foundation

/// What a pixel of a photo is made of, by Pillow's names of the modes.
public enum PhotoColor: String, Decodable, Sendable {
  case rgb = "RGB"
  case gray = "L"
  case rgba = "RGBA"

  /// How many numbers a pixel has.
  public var channels: Int {
    switch self {
    case .rgb: 3
    case .gray: 1
    case .rgba: 4
    }
  }
}

/// A decoded photo: uint8 RGB, height x width x 3, upright.
public struct RGBImage: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// `height * width * 3` bytes.
  public let bytes: [UInt8]

  /// Take packed RGB bytes; nil when their number does not fit the size.
  public init?(width: Int, height: Int, bytes: [UInt8]) {
    guard width > 0, height > 0, bytes.count == width * height * 3 else { return nil }
    self.width = width
    self.height = height
    self.bytes = bytes
  }

  /// The tensor that `forward` takes: height x width x channels.
  ///
  /// Gray is Pillow's, rounded the same. Photos have no transparency here: alpha is 255 throughout.
  public func tensor(_ color: PhotoColor) -> Tensor {
    let shape = [height, width, color.channels]
    guard let tensor = Tensor(dtype: .uint8, shape: shape, bytes: bytes(color)) else {
      preconditionFailure("an RGBImage always holds height x width x 3 bytes")
    }
    return tensor
  }

  private func bytes(_ color: PhotoColor) -> [UInt8] {
    switch color {
    case .rgb:
      return bytes
    case .gray:
      return stride(from: 0, to: bytes.count, by: 3).map { red in
        let weighted: UInt32 =
          UInt32(bytes[red]) * 19595 + UInt32(bytes[red + 1]) * 38470
          + UInt32(bytes[red + 2]) * 7471
        return UInt8((weighted + 0x8000) >> 16)
      }
    case .rgba:
      var out = [UInt8](repeating: 255, count: width * height * 4)
      for pixel in 0..<width * height {
        for channel in 0..<3 { out[pixel * 4 + channel] = bytes[pixel * 3 + channel] }
      }
      return out
    }
  }
}

/// The order of the four bytes of one pixel in memory. The fourth, alpha or padding, is skipped.
public enum PixelOrder: String, Sendable, CaseIterable {
  case rgba = "RGBA"
  case bgra = "BGRA"
  case argb = "ARGB"
  case abgr = "ABGR"
  case rgbx = "RGBX"
  case bgrx = "BGRX"

  /// Where red, green and blue are within the four bytes.
  var offsets: (red: Int, green: Int, blue: Int) {
    switch self {
    case .rgba, .rgbx: (0, 1, 2)
    case .bgra, .bgrx: (2, 1, 0)
    case .argb: (1, 2, 3)
    case .abgr: (3, 2, 1)
    }
  }
}

extension RGBImage {
  /// Take rows of four-byte pixels, `rowStride` bytes apart, as a camera or decoder has them.
  ///
  /// Nil when the memory is too short for the size; the last row may end after its last pixel.
  public init?(
    pixels: UnsafeRawBufferPointer, width: Int, height: Int, rowStride: Int, order: PixelOrder
  ) {
    guard width > 0, height > 0, rowStride >= width * 4,
      pixels.count >= (height - 1) * rowStride + width * 4
    else { return nil }
    let (red, green, blue) = order.offsets
    let bytes = [UInt8](unsafeUninitializedCapacity: width * height * 3) { out, count in
      var target = 0
      for row in 0..<height {
        var source = row * rowStride
        for _ in 0..<width {
          out[target] = pixels[source + red]
          out[target + 1] = pixels[source + green]
          out[target + 2] = pixels[source + blue]
          target += 3
          source += 4
        }
      }
      count = target
    }
    self.init(width: width, height: height, bytes: bytes)
  }

  /// Turn and mirror the stored image so that it is upright.
  ///
  /// `orientation` is EXIF's, 1 to 8; anything else counts as 1, as viewers do.
  public func upright(orientation: Int) -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let swapped = orientation >= 5
    let (newWidth, newHeight) = swapped ? (height, width) : (width, height)
    let turned = [UInt8](unsafeUninitializedCapacity: bytes.count) { out, count in
      var target = 0
      for y in 0..<newHeight {
        for x in 0..<newWidth {
          let (sourceX, sourceY) =
            switch orientation {
            case 2: (width - 1 - x, y)
            case 3: (width - 1 - x, height - 1 - y)
            case 4: (x, height - 1 - y)
            case 5: (y, x)
            case 6: (y, height - 1 - x)
            case 7: (width - 1 - y, height - 1 - x)
            default: (width - 1 - y, x)
            }
          let source = (sourceY * width + sourceX) * 3
          out[target] = bytes[source]
          out[target + 1] = bytes[source + 1]
          out[target + 2] = bytes[source + 2]
          target += 3
        }
      }
      count = target
    }
    return RGBImage(width: newWidth, height: newHeight, bytes: turned) ?? self
  }
}

/// How much smaller a photo is decoded, so that a 12-megapixel one does not cost half a second.
public enum DecodingPlan: Equatable, Sendable {
  /// Divide both sides by this power of two.
  case sample(Int)
  case refused(Refusal)

  public enum Refusal: String, Sendable { case small, long }

  /// The short side that should remain: twice what the in-graph resize makes of it, so that the
  /// resize still averages at least two pixels into one. Nil: as many as there are.
  static func wantedSide(_ preprocessing: Metadata.Preprocessing?) -> Int? {
    guard let preprocessing, let side = preprocessing.inputSize.dropFirst().max() else {
      return nil
    }
    return 2 * Int((Double(side) / preprocessing.cropFraction).rounded(.up))
  }

  /// Plan for a photo of this size, in pixels.
  public static func plan(
    width: Int, height: Int, bounds: Metadata.ImageBounds, preprocessing: Metadata.Preprocessing?
  ) -> DecodingPlan {
    let short = min(width, height)
    let long = max(width, height)
    guard short > 0, long <= bounds.maxAspect * short else { return .refused(.long) }
    var sample = 1
    if let wanted = wantedSide(preprocessing) {
      while short / (2 * sample) >= max(wanted, 1) { sample *= 2 }
    }
    while ceilDivide(long, sample) > bounds.maxSide { sample *= 2 }
    return ceilDivide(short, sample) < bounds.minSide ? .refused(.small) : .sample(sample)
  }

  private static func ceilDivide(_ value: Int, _ divisor: Int) -> Int {
    (value + divisor - 1) / divisor
  }

  /// Why a photo of this size is refused, in one sentence with what to do.
  public static func sentence(
    _ refusal: Refusal, width: Int, height: Int, bounds: Metadata.ImageBounds
  ) -> String {
    switch refusal {
    case .small:
      "This photo is \(width) × \(height) pixels; the model needs at least \(bounds.minSide) on "
        + "each side. Choose a larger one."
    case .long:
      "This photo is \(width) × \(height) pixels, more than \(bounds.maxAspect) times as long as "
        + "wide. Crop it first."
    }
  }
}
