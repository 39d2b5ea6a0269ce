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
  public let score: Double
  /// The score: a percentage where it is one.
  public let scoreText: String

  /// Label and score.
  public var text: String { "\(label) \(scoreText)" }
}

/// What a detector found in a photo.
public struct Detections: Equatable, Sendable {
  /// The best first.
  public let all: [Detection]
  /// The smallest and the largest threshold that makes sense: 0 to 1 for probabilities.
  public let range: ClosedRange<Double>

  /// Detections of at least this score.
  public func above(_ threshold: Double) -> [Detection] { all.filter { $0.score >= threshold } }

  /// The threshold that was chosen, within this photo's range; its middle where none was.
  public func threshold(_ chosen: Double?) -> Double {
    guard let chosen else { return (range.lowerBound + range.upperBound) / 2 }
    return min(max(chosen, range.lowerBound), range.upperBound)
  }

  /// Find boxes, scores and classes among the outputs; nil where there are no boxes with scores.
  ///
  /// Scores are one per box, or one per box and class: then the best class counts. A box that is not
  /// finite, or that lies outside of the photo, is left out.
  init?(_ outputs: [NamedOutput], _ placement: Placement, _ output: Output) {
    guard let boxes = outputs.first(where: { $0.spec.holds == .boxes }),
      let space = boxes.spec.space, boxes.tensor.shape.last == 4,
      let scores = BoxScores(outputs, count: boxes.tensor.count / 4)
    else { return nil }
    let corners = boxes.tensor.values
    let found = scores.best.enumerated().compactMap { index, best -> Detection? in
      let given = corners[index * 4..<index * 4 + 4]
      guard given.allSatisfy(\.isFinite), best.score.isFinite else { return nil }
      let raw = Box(
        left: given[index * 4], top: given[index * 4 + 1], right: given[index * 4 + 2],
        bottom: given[index * 4 + 3])
      let box = space == .network ? placement.boxToPhoto(raw) : placement.cut(raw)
      guard box.left < box.right, box.top < box.bottom else { return nil }
      let label = best.index.map { output.label($0, places: scores.places) } ?? "object"
      let score = scores.areProbabilities ? percent(best.score) : decimal(best.score)
      return Detection(
        id: index, box: box, classIndex: best.index, label: label, score: best.score,
        scoreText: score)
    }
    all = found.sorted { ($0.score, $1.id) > ($1.score, $0.id) }
    let values = found.map(\.score)
    let isShare = values.allSatisfy { (0...1).contains($0) }
    let (lowest, highest) = (values.min() ?? 0, values.max() ?? 1)
    // A slider needs two ends.
    let scale = lowest < highest ? lowest...highest : lowest - 0.5...highest + 0.5
    range = isShare ? 0...1 : scale
  }
}

/// The best class and its score of every box.
private struct BoxScores {
  let best: [(index: Int?, score: Double)]
  let areProbabilities: Bool
  /// How many classes have a score for every box; nil where the class is an output of its own.
  let places: Int?

  /// Nil where no output has scores for `count` boxes.
  init?(_ outputs: [NamedOutput], count: Int) {
    let classes = outputs.first { $0.spec.holds == .classIndex && $0.tensor.count == count }
    for candidate in outputs {
      guard let found = BoxScores(candidate, classes?.tensor, count: count) else { continue }
      self = found
      return
    }
    return nil
  }

  private init?(_ scores: NamedOutput, _ classes: Tensor?, count: Int) {
    guard [.probabilities, .scores, .logits].contains(scores.spec.holds) else { return nil }
    let values = scores.tensor.values
    areProbabilities =
      scores.spec.holds == .probabilities || values.allSatisfy { (0...1).contains($0) }
    guard let axis = scores.spec.classAxis else {
      guard values.count == count else { return nil }
      let indices = classes?.values
      best = values.enumerated().map { box, score in
        (indices.flatMap { Int(exactly: $0[box]) }, score)
      }
      places = nil
      return
    }
    // Boxes first, classes last.
    guard axis == scores.tensor.shape.count - 1, let size = scores.tensor.shape.last, size > 0,
      values.count == count * size
    else { return nil }
    best = (0..<count).map { box in
      let row = Array(values[box * size..<(box + 1) * size])
      let index = topIndices(row, 1)[0]
      return (index, row[index])
    }
    places = size
  }
}
