/// A picture that a network gives, and which of its numbers are black and white.
public struct MadePicture: Equatable, Sendable {
  /// Opaque, of the size that the network gives it.
  public let image: RGBAImage
  public let black: Double
  public let white: Double
  public let unit: String?

  /// Write one of the two with its unit.
  public func text(_ number: Double) -> String {
    unit.map { "\(decimal(number)) \($0)" } ?? decimal(number)
  }

  /// What the numbers of a picture usually reach from and to, and how far beyond.
  private static let ranges = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
  private static let spare = 0.25

  /// Take one, three or four channels, the fourth left out; nil for other outputs.
  ///
  /// Bytes are as they are. Of other numbers black and white are the first of `ranges` that holds
  /// all finite ones, with a quarter of its length to spare at both ends, or else the smallest and
  /// largest. What is not finite is black.
  init?(_ tensor: Tensor, _ spec: OutputTensor) {
    guard spec.holds == .image, let (rowAxis, columnAxis) = spec.mapAxes, tensor.count > 0,
      tensor.shape.count == spec.axes.count
    else { return nil }
    let others = tensor.shape.indices.filter {
      $0 != rowAxis && $0 != columnAxis && tensor.shape[$0] != 1
    }
    let channels = others.first.map { tensor.shape[$0] } ?? 1
    let values = tensor.values
    guard others.count <= 1, [1, 3, 4].contains(channels),
      let (black, white) = Self.range(values, tensor.dtype)
    else { return nil }
    func stride(_ axis: Int) -> Int { tensor.shape[(axis + 1)...].reduce(1, *) }
    let (down, across) = (stride(rowAxis), stride(columnAxis))
    let step = others.first.map(stride) ?? 0
    func level(_ value: Double) -> UInt8 {
      guard value.isFinite, white != black else { return 0 }
      let share = min(max((value - black) / (white - black), 0), 1)
      return UInt8((255 * share + 0.5).rounded(.down))
    }
    (self.black, self.white, unit) = (black, white, spec.unit)
    image = RGBAImage(
      width: tensor.shape[columnAxis], height: tensor.shape[rowAxis], alpha: 255
    ) { x, y in
      let first = y * down + x * across
      return RGBColor(
        red: level(values[first]), green: level(values[first + step]),
        blue: level(values[first + 2 * step]))
    }
  }

  private static func range(_ values: [Double], _ dtype: DType) -> (Double, Double)? {
    let finite = values.filter(\.isFinite)
    guard let least = finite.min(), let most = finite.max() else { return nil }
    if dtype == .uint8 { return (0, 255) }
    return ranges.first { low, high in
      let beyond = spare * (high - low)
      return low - beyond <= least && most <= high + beyond
    } ?? (least, most)
  }
}
