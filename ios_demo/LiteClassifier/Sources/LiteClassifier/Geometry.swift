/// A rectangle in pixels: from `left`, `top` to `right`, `bottom`.
public struct Box: Equatable, Sendable {
  public let left: Double
  public let top: Double
  public let right: Double
  public let bottom: Double

  public init(left: Double, top: Double, right: Double, bottom: Double) {
    self.left = left
    self.top = top
    self.right = right
    self.bottom = bottom
  }

  /// The box on a picture that is `x` times as wide and `y` times as high.
  public func scaled(x: Double, y: Double) -> Box {
    Box(left: left * x, top: top * y, right: right * x, bottom: bottom * y)
  }
}

/// Where one photo lies in the network's picture; `runtime_check/artifact/geometry.py` in Swift.
///
/// Coordinates are continuous: a pixel at column x covers x to x + 1, so its center is x + 0.5.
public struct Placement: Equatable, Sendable {
  /// Size of the photo, in pixels.
  public let height: Int
  public let width: Int
  /// What the photo is resized to.
  public let resizedHeight: Int
  public let resizedWidth: Int
  /// Where the network's upper left corner is on that; negative where the picture was padded.
  public let top: Int
  public let left: Int
  public let networkHeight: Int
  public let networkWidth: Int

  /// Map a point of the network's picture onto the photo; padding lies outside of it.
  public func toPhoto(x: Double, y: Double) -> (x: Double, y: Double) {
    (
      (x + Double(left)) * Double(width) / Double(resizedWidth),
      (y + Double(top)) * Double(height) / Double(resizedHeight)
    )
  }

  /// Map a point of the photo onto the network's picture; what was cropped lies outside.
  public func toNetwork(x: Double, y: Double) -> (x: Double, y: Double) {
    (
      x * Double(resizedWidth) / Double(width) - Double(left),
      y * Double(resizedHeight) / Double(height) - Double(top)
    )
  }

  /// Map a box of the network's picture onto the photo, cut at the photo's edges.
  public func boxToPhoto(_ box: Box) -> Box {
    let first = toPhoto(x: box.left, y: box.top)
    let last = toPhoto(x: box.right, y: box.bottom)
    return cut(Box(left: first.x, top: first.y, right: last.x, bottom: last.y))
  }

  /// Cut a box of the photo at the photo's edges.
  public func cut(_ box: Box) -> Box {
    func inside(_ value: Double, _ side: Int) -> Double { min(max(value, 0), Double(side)) }
    return Box(
      left: inside(box.left, width), top: inside(box.top, height),
      right: inside(box.right, width), bottom: inside(box.bottom, height))
  }

  /// The part of the photo that the network sees.
  public var seen: Box {
    boxToPhoto(
      Box(left: 0, top: 0, right: Double(networkWidth), bottom: Double(networkHeight)))
  }

  /// The row and column of a map over the network's picture for a photo's pixel.
  ///
  /// The map has `rows` x `columns` cells of equal size. Nil where the network does not see the
  /// pixel.
  public func cellOf(x: Int, y: Int, rows: Int, columns: Int) -> (row: Int, column: Int)? {
    guard let row = rowOf(y: y, rows: rows), let column = columnOf(x: x, columns: columns) else {
      return nil
    }
    return (row, column)
  }

  /// The row of `cellOf`, which does not depend on the pixel's column.
  func rowOf(y: Int, rows: Int) -> Int? {
    let down = toNetwork(x: 0, y: Double(y) + 0.5).y
    let row = Int((down * Double(rows) / Double(networkHeight)).rounded(.down))
    return (0..<rows).contains(row) ? row : nil
  }

  /// The column of `cellOf`, which does not depend on the pixel's row.
  func columnOf(x: Int, columns: Int) -> Int? {
    let across = toNetwork(x: Double(x) + 0.5, y: 0).x
    let column = Int((across * Double(columns) / Double(networkWidth)).rounded(.down))
    return (0..<columns).contains(column) ? column : nil
  }

  /// Where on the photo the middle of a map's cell lies.
  public func middleOf(row: Int, column: Int, rows: Int, columns: Int) -> (x: Double, y: Double) {
    toPhoto(
      x: (Double(column) + 0.5) * Double(networkWidth) / Double(columns),
      y: (Double(row) + 0.5) * Double(networkHeight) / Double(rows))
  }
}

/// How a photo becomes the network's picture: resized, then cropped or padded about its middle.
public struct Geometry: Decodable, Equatable, Sendable {
  /// `cover`: until the photo covers the resize's size, its sides' ratio kept; `fit`: until it fits
  /// inside; `stretch`: to exactly that size.
  public enum Resize: String, Decodable, Sendable { case cover, fit, stretch }
  /// Of the side that keeps the ratio: down, or to the nearest with halves to even.
  public enum Rounding: String, Decodable, Sendable { case down, even }

  public let resize: Resize
  public let resizeHeight: Int
  public let resizeWidth: Int
  public let networkHeight: Int
  public let networkWidth: Int
  public let rounding: Rounding

  enum CodingKeys: String, CodingKey {
    case resize, rounding
    case resizeHeight = "resize_height"
    case resizeWidth = "resize_width"
    case networkHeight = "network_height"
    case networkWidth = "network_width"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    resize = try container.decode(Resize.self, forKey: .resize)
    rounding = try container.decode(Rounding.self, forKey: .rounding)
    resizeHeight = try container.side(.resizeHeight)
    resizeWidth = try container.side(.resizeWidth)
    networkHeight = try container.side(.networkHeight)
    networkWidth = try container.side(.networkWidth)
    // Resizing one edge to a length says nothing of a second length, or of what fits inside.
    let isSquare = resize == .cover && resizeHeight == resizeWidth
    guard rounding == .even || resize == .stretch || isSquare else {
      throw DecodingError.dataCorruptedError(
        forKey: .rounding, in: container,
        debugDescription: "rounding down goes with covering a square")
    }
  }

  /// Place a photo of this size, in pixels.
  public func place(height: Int, width: Int) -> Placement {
    let (tall, wide) = resized(height: height, width: width)
    return Placement(
      height: height, width: width, resizedHeight: tall, resizedWidth: wide,
      top: Self.margin(tall, networkHeight), left: Self.margin(wide, networkWidth),
      networkHeight: networkHeight, networkWidth: networkWidth)
  }

  private func resized(height: Int, width: Int) -> (height: Int, width: Int) {
    if resize == .stretch { return (resizeHeight, resizeWidth) }
    if rounding == .down {
      // The short edge takes the resize's size, the long one is cut off to a whole number.
      return width <= height
        ? (Int(Double(resizeWidth * height) / Double(width)), resizeWidth)
        : (resizeHeight, Int(Double(resizeHeight * width) / Double(height)))
    }
    let down = Double(height) / Double(resizeHeight)
    let across = Double(width) / Double(resizeWidth)
    let ratio = resize == .fit ? max(down, across) : min(down, across)
    func side(_ of: Int) -> Int {
      max(1, Int((Double(of) / ratio).rounded(.toNearestOrEven)))
    }
    return (side(height), side(width))
  }

  /// Where the network's edge lies on a resized side, negative where it is padded.
  private static func margin(_ resized: Int, _ network: Int) -> Int {
    resized < network
      ? -((network - resized) / 2)
      : Int((Double(resized - network) / 2).rounded(.toNearestOrEven))
  }
}

extension KeyedDecodingContainer {
  /// Read the side of a picture, 1 to 65,536 pixels as the contract allows.
  func side(_ key: Key) throws -> Int {
    let value = try decode(Int.self, forKey: key)
    guard (1...65_536).contains(value) else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: self, debugDescription: "\(value) is no side of a picture")
    }
    return value
  }
}
