/// A key point on the photo that went into the model, in its pixels.
public struct KeyPoint: Equatable, Sendable, Identifiable {
  /// Place among all points of the output.
  public let id: Int
  /// Place among the points of one thing.
  public let index: Int
  public let label: String
  public let x: Double
  public let y: Double
  /// Nil where the model gives none.
  public let score: Double?

  /// Whether nothing says that the point may not be there.
  public var isSure: Bool { score.map { $0 >= 0.5 } ?? true }

  /// The place, and the score where there is one.
  public var text: String {
    let place = "\(decimal(x)), \(decimal(y))"
    return score.map { "\(place) (\((0...1).contains($0) ? percent($0) : decimal($0)))" } ?? place
  }
}

extension KeyPoint {
  /// Read the points of an output, placed on the photo; nil where it has none to place.
  ///
  /// Along the last axis are x, y and perhaps a score. What is not finite, or not on the photo, is
  /// left out. Labels name the points of one thing, the axis before the last, where there are as
  /// many.
  static func all(_ tensor: Tensor, _ spec: OutputTensor, _ output: Output, _ placement: Placement)
    -> [KeyPoint]?
  {
    guard spec.holds == .keypoints, let space = spec.space, let size = tensor.shape.last,
      (2...3).contains(size)
    else { return nil }
    let count = tensor.shape.count > 1 ? tensor.shape[tensor.shape.count - 2] : 1
    let names = output.labels.flatMap { $0.count == count ? $0 : nil }
    let values = tensor.values
    return (0..<values.count / size).compactMap { row in
      let numbers = values[row * size..<(row + 1) * size]
      guard numbers.allSatisfy(\.isFinite) else { return nil }
      let given = (x: numbers[row * size], y: numbers[row * size + 1])
      let place = space == .network ? placement.toPhoto(x: given.x, y: given.y) : given
      guard (0...Double(placement.width)).contains(place.x),
        (0...Double(placement.height)).contains(place.y)
      else { return nil }
      let index = row % count
      return KeyPoint(
        id: row, index: index, label: names?[index] ?? "point \(index)", x: place.x, y: place.y,
        score: size > 2 ? numbers[row * size + 2] : nil)
    }
  }
}
