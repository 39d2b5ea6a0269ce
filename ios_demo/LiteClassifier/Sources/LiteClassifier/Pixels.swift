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

/// A decoded photo: uint8 RGB, height x width x 3, upright, and how opaque each pixel is.
public struct RGBImage: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// `height * width * 3` bytes.
  public let bytes: [UInt8]
  /// `height * width` bytes; nil where all of it is opaque.
  public let alpha: [UInt8]?

  /// Take packed RGB bytes; nil when their number does not fit the size.
  public init?(width: Int, height: Int, bytes: [UInt8], alpha: [UInt8]? = nil) {
    guard width > 0, height > 0, bytes.count == width * height * 3,
      alpha.map({ $0.count == width * height }) ?? true
    else { return nil }
    self.width = width
    self.height = height
    self.bytes = bytes
    self.alpha = alpha
  }

  /// The tensor that `forward` takes: height x width x channels.
  ///
  /// Gray is Pillow's, rounded the same. Alpha is not blended in: it goes to models that take it.
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
        if let alpha { out[pixel * 4 + 3] = alpha[pixel] }
      }
      return out
    }
  }
}

/// The order of the four bytes of one pixel in memory. The fourth is alpha or padding.
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

  /// Where alpha is; nil where there is padding.
  var alphaOffset: Int? {
    switch self {
    case .rgba, .bgra: 3
    case .argb, .abgr: 0
    case .rgbx, .bgrx: nil
    }
  }
}

extension RGBImage {
  /// Take rows of four-byte pixels, `rowStride` bytes apart, as a camera or decoder has them.
  ///
  /// Nil when the memory is too short for the size; the last row may end after its last pixel.
  /// Where colors were multiplied by alpha (`isPremultiplied`) they are divided by it again, as far
  /// as whole numbers let them; a pixel without any alpha is then black.
  public init?(
    pixels: UnsafeRawBufferPointer, width: Int, height: Int, rowStride: Int, order: PixelOrder,
    isPremultiplied: Bool = false
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
    guard let place = order.alphaOffset else {
      self.init(width: width, height: height, bytes: bytes)
      return
    }
    var alpha: [UInt8] = []
    alpha.reserveCapacity(width * height)
    for row in 0..<height {
      let first = row * rowStride + place
      for column in 0..<width { alpha.append(pixels[first + column * 4]) }
    }
    self.init(
      width: width, height: height,
      bytes: isPremultiplied ? Self.divided(bytes, by: alpha) : bytes,
      alpha: alpha.allSatisfy { $0 == 255 } ? nil : alpha)
  }

  static func divided(_ bytes: [UInt8], by alpha: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: bytes.count) { out, count in
      for index in 0..<bytes.count {
        let part = Int(alpha[index / 3])
        let whole = part == 0 ? 0 : (Int(bytes[index]) * 255 + part / 2) / part
        out[index] = UInt8(clamping: whole)
      }
      count = bytes.count
    }
  }
}

/// How much smaller a photo is decoded, so that a 12-megapixel one does not cost half a second.
public enum DecodingPlan: Equatable, Sendable {
  /// Divide both sides by this power of two.
  case sample(Int)
  case refused(Refusal)

  public enum Refusal: String, Sendable {
    case small, long, large

    /// The sentence for a photo of this size, in pixels.
    func error(width: Int, height: Int, bounds: Metadata.ImageBounds) -> VisionError {
      switch self {
      case .small: .photoTooSmall(width: width, height: height, limit: bounds.minSide)
      case .long: .photoTooLong(width: width, height: height, limit: bounds.maxAspect)
      case .large: .photoTooLarge(width: width, height: height, limit: bounds.maxSide)
      }
    }
  }

  /// Why a model does not take an image of this size, in pixels; nil where it does.
  static func refusal(width: Int, height: Int, bounds: Metadata.ImageBounds) -> Refusal? {
    let (short, long) = (min(width, height), max(width, height))
    if short < bounds.minSide { return .small }
    if long > bounds.maxSide { return .large }
    return long > bounds.maxAspect * short ? .long : nil
  }

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
}
