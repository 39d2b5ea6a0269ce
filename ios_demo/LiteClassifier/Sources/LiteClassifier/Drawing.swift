import Foundation

/// A color of the screen.
public struct RGBColor: Equatable, Sendable {
  public let red: UInt8
  public let green: UInt8
  public let blue: UInt8

  public init(red: UInt8, green: UInt8, blue: UInt8) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// Take hue (a turn is 1), saturation and value, 0 to 1.
  public init(hue: Double, saturation: Double, value: Double) {
    func channel(_ shift: Double) -> UInt8 {
      let place = (shift + hue * 6).truncatingRemainder(dividingBy: 6)
      let share = value * (1 - saturation * max(0, min(place, 4 - place, 1)))
      return UInt8((share * 255).rounded())
    }
    self.init(red: channel(5), green: channel(3), blue: channel(1))
  }

  /// The color of a class. Steps of the golden ratio keep neighbors far apart on the color wheel.
  public static func ofClass(_ index: Int) -> RGBColor {
    let hue = (Double(index) * 0.61803398875).truncatingRemainder(dividingBy: 1)
    return RGBColor(hue: hue, saturation: 0.65, value: 0.95)
  }

  /// The color of a place between the smallest (0, blue) and the largest value (1, red).
  public static func ofShare(_ share: Double) -> RGBColor {
    RGBColor(hue: 2 / 3 * (1 - share), saturation: 0.8, value: 0.95)
  }
}

/// A picture to lay over a photo: red, green, blue and alpha of every pixel, not premultiplied.
public struct RGBAImage: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// `height * width * 4` bytes.
  public let bytes: [UInt8]

  /// Color every pixel; `color` gets its column and row, nil leaves it transparent.
  init(width: Int, height: Int, alpha: UInt8, color: (_ x: Int, _ y: Int) -> RGBColor?) {
    self.width = width
    self.height = height
    var bytes = [UInt8](repeating: 0, count: width * height * 4)
    var target = 0
    for y in 0..<height {
      for x in 0..<width {
        if let color = color(x, y) {
          bytes[target] = color.red
          bytes[target + 1] = color.green
          bytes[target + 2] = color.blue
          bytes[target + 3] = alpha
        }
        target += 4
      }
    }
    self.bytes = bytes
  }

  /// Take a photo as it is, opaque.
  public init(_ photo: RGBImage) {
    self.init(width: photo.width, height: photo.height, alpha: 255) { x, y in
      let pixel = (y * photo.width + x) * 3
      return RGBColor(
        red: photo.bytes[pixel], green: photo.bytes[pixel + 1], blue: photo.bytes[pixel + 2])
    }
  }
}

/// Which cell of a map lies under a photo's pixel: rows and columns are independent of each other.
struct MapPlaces {
  /// For every row of the photo that of the map; nil where the map does not reach.
  let rows: [Int?]
  let columns: [Int?]

  /// A map of `rows` x `columns` cells of equal size over a picture. Where the exporter put a map
  /// onto the photo, it has classes only for what the network sees: `onlySeen`.
  init(
    rows: Int, columns: Int, on space: OutputTensor.Space, _ placement: Placement,
    onlySeen: Bool = false
  ) {
    switch space {
    case .network:
      self.rows = (0..<placement.height).map { placement.rowOf(y: $0, rows: rows) }
      self.columns = (0..<placement.width).map { placement.columnOf(x: $0, columns: columns) }
    case .photo:
      // In whole numbers: the middle of the pixel, (y + 0.5) * rows / height.
      let (height, width) = (placement.height, placement.width)
      self.rows = (0..<height).map { y in
        let isSeen = placement.rowOf(y: y, rows: placement.networkHeight) != nil
        return isSeen || !onlySeen ? (2 * y + 1) * rows / (2 * height) : nil
      }
      self.columns = (0..<width).map { x in
        let isSeen = placement.columnOf(x: x, columns: placement.networkWidth) != nil
        return isSeen || !onlySeen ? (2 * x + 1) * columns / (2 * width) : nil
      }
    }
  }

  /// Index of the cell in C order.
  func cell(x: Int, y: Int, columns count: Int) -> Int? {
    guard let row = rows[y], let column = columns[x] else { return nil }
    return row * count + column
  }
}

/// A map of rows and columns with one value per cell, out of a tensor whose other dimensions are 1.
struct ValueMap {
  let rows: Int
  let columns: Int
  /// In C order.
  let values: [Double]
}

/// A map with one class per cell.
struct ClassMap: Equatable {
  let rows: Int
  let columns: Int
  /// In C order.
  let classes: [Int]
  /// The names of the classes; a class beyond them is called by its number.
  let names: [String]

  func label(_ index: Int) -> String {
    names.indices.contains(index) ? names[index] : "class \(index)"
  }

  /// Nil for what is not drawn: class 0 where it is called background, and what is no class.
  func color(_ index: Int) -> RGBColor? {
    let isBackground = index == 0 && ["background", "__background__"].contains(label(0))
    return isBackground || index < 0 ? nil : .ofClass(index)
  }
}

/// Where the elements of a map lie in a tensor: of what shape, and how far apart.
struct MapLayout {
  let rows: Int
  let columns: Int
  let rowStride: Int
  let columnStride: Int
  /// How many classes there are, and how far apart; 1 without a class axis.
  let classes: Int
  let classStride: Int

  /// Nil for a tensor without rows and columns, and for one with another dimension above 1.
  init?(_ tensor: Tensor, _ spec: OutputTensor) {
    guard let (rowAxis, columnAxis) = spec.mapAxes, tensor.shape.count == spec.axes.count,
      tensor.count > 0
    else { return nil }
    let classAxis = spec.classAxis
    let others = tensor.shape.indices.filter { ![rowAxis, columnAxis, classAxis].contains($0) }
    guard others.allSatisfy({ tensor.shape[$0] == 1 }) else { return nil }
    func stride(_ axis: Int) -> Int { tensor.shape[(axis + 1)...].reduce(1, *) }
    (rows, rowStride) = (tensor.shape[rowAxis], stride(rowAxis))
    (columns, columnStride) = (tensor.shape[columnAxis], stride(columnAxis))
    classes = classAxis.map { tensor.shape[$0] } ?? 1
    classStride = classAxis.map(stride) ?? 0
  }

  /// The places of the first class's values, in C order of rows and columns.
  var places: [Int] {
    (0..<rows).flatMap { row in
      (0..<columns).map { row * rowStride + $0 * columnStride }
    }
  }
}

extension ValueMap {
  /// Nil where the tensor is no map of values.
  init?(_ tensor: Tensor, _ spec: OutputTensor) {
    guard let layout = MapLayout(tensor, spec), layout.classes == 1 else { return nil }
    let values = tensor.values
    (rows, columns) = (layout.rows, layout.columns)
    self.values = layout.places.map { values[$0] }
  }
}

extension ClassMap {
  /// Take a class map, a mask, or the best class of scores; nil where the tensor is none of them.
  ///
  /// Ties go to the lower class, NaN comes after every number. A mask, and scores of one class, are
  /// class 1 above one half (of scores and logits above zero), else 0, the background.
  init?(_ tensor: Tensor, _ spec: OutputTensor, _ output: Output) {
    guard let layout = MapLayout(tensor, spec) else { return nil }
    let values = tensor.values
    let isBinary = spec.holds == .mask || (spec.classAxis != nil && layout.classes == 1)
    let classOf: (Int) -> Int
    switch spec.holds {
    case .classMap:
      classOf = { Int(exactly: values[$0]) ?? -1 }
    case .mask:
      classOf = { values[$0] > 0.5 ? 1 : 0 }
    case .scores, .logits, .probabilities:
      guard spec.classAxis != nil else { return nil }
      let half = spec.holds == .probabilities ? 0.5 : 0
      classOf = { first in
        if layout.classes == 1 { return values[first] > half ? 1 : 0 }
        return Self.best(values, first, layout)
      }
    default:
      return nil
    }
    (rows, columns) = (layout.rows, layout.columns)
    if isBinary && output.labels?.count != 2 {
      names = ["background", output.labels?.count == 1 ? output.label(0) : "mask"]
    } else {
      // Labels of another number than the class axis has places are another output's.
      let fits = layout.classes == 1 || output.labels?.count == layout.classes
      names = fits ? output.labels ?? [] : []
    }
    classes = layout.places.map(classOf)
  }

  private static func best(_ values: [Double], _ first: Int, _ layout: MapLayout) -> Int {
    var best = 0
    for candidate in 1..<layout.classes {
      let new = values[first + candidate * layout.classStride]
      let old = values[first + best * layout.classStride]
      if new > old || (old.isNaN && !new.isNaN) { best = candidate }
    }
    return best
  }
}

/// A class that a segmentation sees in a photo.
public struct LegendEntry: Equatable, Sendable, Identifiable {
  /// The class.
  public let id: Int
  public let label: String
  /// Nil for a background, which stays as the photo is.
  public let color: RGBColor?
  /// Of the photo's pixels that the network sees, 0 to 1.
  public let share: Double

  /// The share as a percentage.
  public var text: String { percent(share) }
}

/// A segmentation as it is drawn: a mask for the photo, and the classes in it.
public struct Segmentation: Equatable, Sendable {
  /// Half transparent, as large as the photo.
  public let mask: RGBAImage
  /// The largest share first.
  public let legend: [LegendEntry]

  init(
    _ map: ClassMap, on space: OutputTensor.Space, _ placement: Placement, onlySeen: Bool = false
  ) {
    let places = MapPlaces(
      rows: map.rows, columns: map.columns, on: space, placement, onlySeen: onlySeen)
    var counts: [Int: Int] = [:]
    var seen = 0
    for y in 0..<placement.height {
      for x in 0..<placement.width {
        guard let cell = places.cell(x: x, y: y, columns: map.columns) else { continue }
        seen += 1
        counts[map.classes[cell], default: 0] += 1
      }
    }
    // Below zero is no class.
    let legend = counts.filter { $0.key >= 0 }.map { index, count in
      LegendEntry(
        id: index, label: map.label(index), color: map.color(index),
        share: Double(count) / Double(seen))
    }
    self.legend = legend.sorted { ($0.share, $1.id) > ($1.share, $0.id) }
    let colors = Dictionary(uniqueKeysWithValues: legend.map { ($0.id, $0.color) })
    mask = RGBAImage(width: placement.width, height: placement.height, alpha: 128) { x, y in
      places.cell(x: x, y: y, columns: map.columns).flatMap { colors[map.classes[$0]] ?? nil }
    }
  }
}

/// A depth map as it is drawn: blue for the smallest, red for the largest value.
public struct DepthPicture: Equatable, Sendable {
  /// Opaque where the network sees the photo, as large as the photo.
  public let image: RGBAImage
  public let minimum: Double
  public let maximum: Double
  public let unit: String?

  /// Write a depth with its unit.
  public func text(_ depth: Double) -> String {
    unit.map { "\(decimal(depth)) \($0)" } ?? decimal(depth)
  }

  /// Nil where no value is finite.
  init?(_ map: ValueMap, on space: OutputTensor.Space, _ placement: Placement, unit: String?) {
    let finite = map.values.filter(\.isFinite)
    guard let minimum = finite.min(), let maximum = finite.max() else { return nil }
    let places = MapPlaces(rows: map.rows, columns: map.columns, on: space, placement)
    (self.minimum, self.maximum, self.unit) = (minimum, maximum, unit)
    image = RGBAImage(width: placement.width, height: placement.height, alpha: 255) { x, y in
      guard let cell = places.cell(x: x, y: y, columns: map.columns), map.values[cell].isFinite
      else { return nil }
      let range = maximum - minimum
      return .ofShare(range > 0 ? (map.values[cell] - minimum) / range : 0)
    }
  }
}
