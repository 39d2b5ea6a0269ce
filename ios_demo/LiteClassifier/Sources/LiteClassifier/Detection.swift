import Foundation

/// One object that a detector found.
public struct Detection: Equatable, Sendable, Identifiable {
  /// Place among the model's boxes.
  public let id: Int
  /// On the photo that went into the model, in pixels, cut at its edges.
  public let box: Box
  /// The class; nil where the model has none.
  public let classIndex: Int?
  public let label: String
  /// Nil where the model gives none.
  public let score: Double?
  /// The score: a percentage where it is one, empty where there is none.
  public let scoreText: String

  /// Label and score.
  public var text: String { scoreText.isEmpty ? label : "\(label) \(scoreText)" }
}

/// What a detector found in a photo.
public struct Detections: Equatable, Sendable {
  /// The best first.
  public let all: [Detection]
  /// The smallest and the largest threshold that makes sense: 0 to 1 for probabilities. Nil where
  /// there are no scores.
  public let range: ClosedRange<Double>?

  /// Detections of at least this score, and those that have none.
  public func above(_ threshold: Double) -> [Detection] {
    all.filter { $0.score.map { $0 >= threshold } ?? true }
  }

  /// The threshold that was chosen, within this photo's range; its middle where none was.
  public func threshold(_ chosen: Double?) -> Double {
    guard let range else { return 0 }
    guard let chosen else { return (range.lowerBound + range.upperBound) / 2 }
    return min(max(chosen, range.lowerBound), range.upperBound)
  }

  /// Find boxes, scores and classes among the outputs; nil where there are no boxes to place.
  ///
  /// Scores are one per box, or one per box and class: then the best class counts. A box that is not
  /// finite, or that has no area on the photo, is left out, and so is one whose score is no number.
  init?(_ outputs: [NamedOutput], _ placement: Placement, _ output: Output) {
    guard let boxes = outputs.first(where: { $0.spec.holds == .boxes }),
      let space = boxes.spec.space, boxes.tensor.shape.last == 4
    else { return nil }
    let found = BoxClasses(outputs, count: boxes.tensor.count / 4)
    let corners = boxes.tensor.values
    let placed = found.classes.enumerated().compactMap { index, of -> Detection? in
      let given = Array(corners[index * 4..<index * 4 + 4])
      guard given.allSatisfy(\.isFinite), of.score?.isFinite ?? true else { return nil }
      let raw = Box(left: given[0], top: given[1], right: given[2], bottom: given[3])
      let box = space == .network ? placement.boxToPhoto(raw) : placement.cut(raw)
      guard box.left < box.right, box.top < box.bottom else { return nil }
      return Detection(
        id: index, box: box, classIndex: of.index,
        label: of.index.map { output.label($0, places: found.places) } ?? "box",
        score: of.score,
        scoreText: of.score.map { found.areShares ? percent($0) : decimal($0) } ?? "")
    }
    all = placed.sorted { ($0.score ?? 0, $1.id) > ($1.score ?? 0, $0.id) }
    range = found.areShares ? 0...1 : Self.range(placed.compactMap(\.score))
  }

  private static func range(_ scores: [Double]) -> ClosedRange<Double>? {
    guard let lowest = scores.min(), let highest = scores.max() else { return nil }
    // A slider needs two ends.
    return lowest < highest ? lowest...highest : lowest - 0.5...highest + 0.5
  }
}

/// The class and the score of every box.
private struct BoxClasses {
  let classes: [(index: Int?, score: Double?)]
  /// Whether scores are 0 to 1.
  let areShares: Bool
  /// How many classes have a score for every box; nil where the class is an output of its own.
  let places: Int?

  init(_ outputs: [NamedOutput], count: Int) {
    let ranked = outputs.first { Self.boxes($0) == count }
    let stated = outputs.first { $0.spec.holds == .classIndex && $0.tensor.count == count }
    let indices =
      stated.map { $0.tensor.values.map { Int(exactly: $0) } }
      ?? .init(repeating: nil, count: count)
    guard let ranked else {
      classes = indices.map { ($0, nil) }
      (areShares, places) = (false, nil)
      return
    }
    areShares = ranked.tensor.values.allSatisfy { (0...1).contains($0) }
    guard let axis = ranked.spec.classAxis else {
      classes = zip(indices, ranked.tensor.values).map { ($0, $1) }
      places = nil
      return
    }
    classes = ranked.tensor.rows(along: axis).map { row in
      let best = topIndices(row, 1)[0]
      return (best, row[best])
    }
    places = ranked.tensor.shape[axis]
  }

  /// How many boxes an output has scores for; nil where it has none.
  private static func boxes(_ output: NamedOutput) -> Int? {
    guard [.probabilities, .scores, .logits].contains(output.spec.holds) else { return nil }
    guard let axis = output.spec.classAxis else { return output.tensor.count }
    let classes = output.tensor.shape[axis]
    return classes > 0 ? output.tensor.count / classes : nil
  }
}
