import Foundation

/// Which outputs are of the boxes that were found, by their place among them.
public struct FoundRows: Equatable, Sendable {
  public let boxes: Int
  public let scores: Int
  public let classes: Int?
  /// All outputs with a row for each box.
  public let rows: [Int]
  /// What decides which boxes there are.
  public let detection: Output.Detection?

  /// Find boxes with a score each; nil where there are none.
  public init?(_ output: Output) {
    let tensors = output.tensors
    let rows = tensors.indices.filter { tensors[$0].axes.first == "boxes" }
    let ranking: [OutputTensor.Holds] = [.probabilities, .scores, .values]
    guard let boxes = tensors.firstIndex(where: { $0.holds == .boxes }),
      let scores = rows.first(where: {
        tensors[$0].axes == ["boxes"] && ranking.contains(tensors[$0].holds)
      })
    else { return nil }
    (self.boxes, self.scores, self.rows) = (boxes, scores, rows)
    classes = tensors.firstIndex { $0.holds == .classIndex }
    detection = output.detection
  }

  /// Scores that lie so near to each other say nothing of which box is the better one.
  fileprivate func near(_ tolerance: Tolerance) -> Double {
    max(1e-3, tolerance.bound(0, output: scores))
  }

  /// Put `actual` in the order of `expected`, box by box, and leave out of both what rounding gave
  /// to one of them.
  ///
  /// The same rules as `runtime_check.found` and `runtime_check.lone`: boxes of one class whose
  /// scores are near are paired by where they lie, scores stay in their places; a box may be without
  /// a partner where its score lies at the threshold, where the other side is full and has none
  /// lower, and where its overlap with a better one lies at the limit.
  func paired(_ expected: [Tensor], _ actual: [Tensor], _ tolerance: Tolerance)
    -> (expected: [Tensor], actual: [Tensor])
  {
    func picked(_ tensors: [Tensor], _ places: [Int], but: Int? = nil) -> [Tensor] {
      tensors.enumerated().map { index, tensor in
        rows.contains(index) && index != but ? tensor.rows(places) : tensor
      }
    }
    var (one, other) = (expected, actual)
    if let left = FoundSide(self, one), let right = FoundSide(self, other), let detection,
      let kept = FoundPair(left, right, self, tolerance).kept(detection)
    {
      (one, other) = (picked(one, kept.0), picked(other, kept.1))
    }
    guard one.map(\.shape) == other.map(\.shape), let left = FoundSide(self, one),
      let right = FoundSide(self, other)
    else { return (one, other) }
    let places = left.partners(in: right, near: near(tolerance))
    // Rows without a partner are given what is left over.
    var leftOver = right.scores.indices.filter { !places.contains($0) }[...]
    let order = places.map { $0 ?? leftOver.removeFirst() }
    return (one, picked(other, order, but: scores))
  }
}

/// The boxes of one side in float64; classes are zeros where there are none.
private struct FoundSide {
  let boxes: [[Double]]
  let scores: [Double]
  let classes: [Double]

  /// Nil where the tensors do not have a row for each box.
  init?(_ found: FoundRows, _ tensors: [Tensor]) {
    let shape = tensors[found.boxes].shape
    guard shape.count == 2, shape[1] == 4,
      found.rows.allSatisfy({ tensors[$0].shape.first == shape[0] })
    else { return nil }
    let values = tensors[found.boxes].values
    boxes = (0..<shape[0]).map { [Double](values[4 * $0..<4 * $0 + 4]) }
    scores = tensors[found.scores].values
    classes = found.classes.map { tensors[$0].values } ?? .init(repeating: 0, count: shape[0])
  }

  /// Which row of `other` is the partner of each row; nil where none is.
  func partners(
    in other: FoundSide, near: Double, within: (Double) -> Double = { _ in .infinity }
  ) -> [Int?] {
    var taken: Set<Int> = []
    return scores.indices.map { row in
      var nearest = Double.infinity
      var partner: Int?
      for candidate in other.scores.indices where !taken.contains(candidate) {
        guard classes[row] == other.classes[candidate],
          abs(scores[row] - other.scores[candidate]) <= near
        else { continue }
        let offsets = zip(boxes[row], other.boxes[candidate]).map { abs($0 - $1) }
        guard zip(offsets, boxes[row]).allSatisfy({ $0 <= within($1) }),
          let apart = offsets.max(), apart < nearest
        else { continue }
        (nearest, partner) = (apart, candidate)
      }
      if let partner { taken.insert(partner) }
      return partner
    }
  }
}

/// Both sides, with the rows of each that have no partner.
private struct FoundPair {
  /// As many boxes may be without a partner, or one in so many of those of both sides.
  static let few = 2
  static let oneIn = 50
  /// Suppression class by class moves the boxes of each class apart, and float32 rounds them.
  static let rounded = 1.0 / Double(1 << 23)

  let sides: [FoundSide]
  let lone: [Set<Int>]
  private let boxBound: (Double) -> Double
  private let scoreBound: (Double) -> Double

  init(_ one: FoundSide, _ other: FoundSide, _ found: FoundRows, _ tolerance: Tolerance) {
    let ofBox = { (coordinate: Double) in tolerance.bound(coordinate, output: found.boxes) }
    boxBound = ofBox
    scoreBound = { tolerance.bound($0, output: found.scores) }
    let places = one.partners(in: other, near: found.near(tolerance), within: ofBox)
    sides = [one, other]
    lone = [
      Set(places.indices.filter { places[$0] == nil }),
      Set(other.scores.indices).subtracting(places.compactMap { $0 }),
    ]
  }

  /// The rows of both sides that are compared; nil where all are, or some should have a partner.
  func kept(_ limits: Output.Detection) -> ([Int], [Int])? {
    let count = lone[0].count + lone[1].count
    let total = sides[0].scores.count + sides[1].scores.count
    guard count > 0, count <= max(Self.few, total / Self.oneIn) else { return nil }
    for side in 0...1 {
      guard lone[side].allSatisfy({ mayBeMissing(side, $0, limits) }) else { return nil }
    }
    let kept = zip(sides, lone).map { side, lone in
      side.scores.indices.filter { !lone.contains($0) }
    }
    return (kept[0], kept[1])
  }

  /// Whether the other side may be without a box, where all better ones may be missing.
  private func mayBeMissing(_ side: Int, _ row: Int, _ limits: Output.Detection) -> Bool {
    let (here, there) = (sides[side], sides[1 - side])
    let score = here.scores[row]
    let near = scoreBound(score)
    if let threshold = limits.scoreThreshold, abs(score - threshold) <= near { return true }
    if let most = limits.maxDetections, there.scores.count >= most,
      let lowest = there.scores.min(), score <= lowest + near
    {
      return true
    }
    guard let limit = limits.iouThreshold else { return false }
    return there.scores.indices.contains { other in
      guard there.scores[other] >= score - near, there.classes[other] == here.classes[row] else {
        return false
      }
      let (iou, unsure) = overlap(here.boxes[row], there.boxes[other], class: here.classes[row])
      let byLone = lone[1 - side].contains(other) && there.scores[other] > score && iou > limit
      return abs(iou - limit) <= unsure || byLone
    }
  }

  /// Intersection over union, and how far rounding moves that; see `runtime_check.lone`.
  private func overlap(_ box: [Double], _ other: [Double], class kind: Double)
    -> (iou: Double, unsure: Double)
  {
    func side(_ box: [Double], _ axis: Int) -> Double { box[axis + 2] - box[axis] }
    func shared(_ axis: Int) -> Double {
      max(0, min(box[axis + 2], other[axis + 2]) - max(box[axis], other[axis]))
    }
    let intersection = shared(0) * shared(1)
    let areas = side(box, 0) * side(box, 1) + side(other, 0) * side(other, 1)
    let union = areas - intersection
    guard union > 0 else { return (0, 0) }
    let iou = intersection / union
    let largest = (box + other).map(abs).max() ?? 0
    let moved = boxBound(largest) + Self.rounded * (1 + kind) * (1 + largest)
    let lengths = side(box, 0) + side(box, 1) + side(other, 0) + side(other, 1)
    return (iou, moved * lengths * (1 + 3 * iou) / union)
  }
}
