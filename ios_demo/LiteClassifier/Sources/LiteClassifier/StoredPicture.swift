/// How a decoder holds a picture: the words that CoreGraphics has for the memory of a `CGImage`,
/// without CoreGraphics.
///
/// ``rgb(_:)`` makes of it what Python's loader makes of the same file: levels as they are stored,
/// whatever their color profile says, the upper 8 of 16 bits, palettes looked up, CMYK as Pillow
/// converts it, colors beside their alpha.
public struct StoredPicture: Equatable, Sendable {
  public enum Model: Equatable, Sendable {
    case gray, rgb, cmyk
    /// The colors of a palette, three bytes each.
    case indexed(table: [UInt8])

    /// How many numbers a pixel has beside its alpha.
    public var components: Int {
      switch self {
      case .gray, .indexed: 1
      case .rgb: 3
      case .cmyk: 4
      }
    }
  }

  /// Where alpha is, and whether the colors were multiplied by it.
  public enum Alpha: String, Sendable, CaseIterable {
    case none, last, first, premultipliedLast, premultipliedFirst, skipLast, skipFirst

    var isFirst: Bool { [.first, .premultipliedFirst, .skipFirst].contains(self) }
    var isPremultiplied: Bool { [.premultipliedLast, .premultipliedFirst].contains(self) }
    var isThere: Bool { ![.none, .skipLast, .skipFirst].contains(self) }
  }

  /// The order of the bytes in what is read at once.
  public enum Order: String, Sendable, CaseIterable {
    /// As they come.
    case big
    /// The two bytes of a 16-bit number are swapped.
    case little16
    /// The four bytes of a pixel are reversed.
    case little32
  }

  public let width: Int
  public let height: Int
  public let bitsPerComponent: Int
  public let bytesPerRow: Int
  public let model: Model
  public let alpha: Alpha
  public let order: Order
  /// Whether 0 is full ink or white, as in the JPEGs of some programs.
  public let isInverted: Bool

  public init(
    width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int, model: Model, alpha: Alpha,
    order: Order = .big, isInverted: Bool = false
  ) {
    (self.width, self.height) = (width, height)
    (self.bitsPerComponent, self.bytesPerRow) = (bitsPerComponent, bytesPerRow)
    (self.model, self.alpha, self.order) = (model, alpha, order)
    self.isInverted = isInverted
  }

  /// Bytes of one pixel; nil for layouts that are not read here.
  private var pixelSize: Int? {
    let size = (model.components + (alpha == .none ? 0 : 1)) * (bitsPerComponent / 8)
    switch (bitsPerComponent, order) {
    case (8, .big), (16, .big), (16, .little16): return size
    case (8, .little32): return size == 4 ? size : nil
    default: return nil
    }
  }

  /// Read the pixels as stored, not yet upright.
  ///
  /// - Returns: nil for a layout that is not read here, and for memory too short for the size; the
  ///   last row may end after its last pixel.
  public func rgb(_ memory: UnsafeRawBufferPointer) -> RGBImage? {
    guard let pixelSize, width > 0, height > 0, bytesPerRow >= width * pixelSize,
      memory.count >= (height - 1) * bytesPerRow + width * pixelSize
    else { return nil }
    // Once, and not for each pixel.
    let hasAlpha = alpha.isThere
    var opaque = true
    var alphas: [UInt8] = []
    if hasAlpha { alphas.reserveCapacity(width * height) }
    let reader = PixelReader(self, pixelSize)
    let bytes = [UInt8](unsafeUninitializedCapacity: width * height * 3) { out, count in
      for row in 0..<height {
        for column in 0..<width {
          let pixel = row * bytesPerRow + column * pixelSize
          (out[count], out[count + 1], out[count + 2]) = reader.color(memory, pixel)
          count += 3
          guard hasAlpha else { continue }
          let level = reader.alpha(memory, pixel)
          opaque = opaque && level == 255
          alphas.append(level)
        }
      }
    }
    return RGBImage(
      width: width, height: height,
      bytes: alpha.isPremultiplied ? RGBImage.divided(bytes, by: alphas) : bytes,
      alpha: hasAlpha && !opaque ? alphas : nil)
  }
}

/// Reads single pixels.
private struct PixelReader {
  private let model: StoredPicture.Model
  private let isInverted: Bool
  /// Where the upper byte of each color is within the pixel, and that of alpha.
  private let places: (Int, Int, Int, Int)
  private let alphaPlace: Int

  init(_ picture: StoredPicture, _ pixelSize: Int) {
    let wide = picture.bitsPerComponent / 8
    let colors = picture.model.components
    func place(_ component: Int) -> Int {
      switch picture.order {
      case .big: component * wide
      case .little16: component * wide + 1
      case .little32: pixelSize - 1 - component
      }
    }
    let start = picture.alpha.isFirst ? 1 : 0
    // Of fewer colors the last counts again, and is not looked at.
    func color(_ index: Int) -> Int { place(start + min(index, colors - 1)) }
    (model, isInverted) = (picture.model, picture.isInverted)
    places = (color(0), color(1), color(2), color(3))
    alphaPlace = picture.alpha.isFirst ? place(0) : place(colors)
  }

  func alpha(_ memory: UnsafeRawBufferPointer, _ pixel: Int) -> UInt8 { memory[pixel + alphaPlace] }

  func color(_ memory: UnsafeRawBufferPointer, _ pixel: Int) -> (UInt8, UInt8, UInt8) {
    func level(_ place: Int) -> UInt8 {
      isInverted ? 255 - memory[pixel + place] : memory[pixel + place]
    }
    switch model {
    case .gray:
      let gray = level(places.0)
      return (gray, gray, gray)
    case .rgb:
      return (level(places.0), level(places.1), level(places.2))
    case .cmyk:
      let light = 255 - Int(level(places.3))
      return (
        Self.without(level(places.0), light), Self.without(level(places.1), light),
        Self.without(level(places.2), light)
      )
    case .indexed(let table):
      let entry = Int(memory[pixel + places.0]) * 3
      // An index beyond the palette is black, as Pillow has it.
      guard entry + 2 < table.count else { return (0, 0, 0) }
      return (table[entry], table[entry + 1], table[entry + 2])
    }
  }

  /// What an ink leaves of `light`: Pillow's way to divide by 255.
  private static func without(_ ink: UInt8, _ light: Int) -> UInt8 {
    let product = Int(ink) * light + 128
    return UInt8(clamping: light - (((product >> 8) + product) >> 8))
  }
}
