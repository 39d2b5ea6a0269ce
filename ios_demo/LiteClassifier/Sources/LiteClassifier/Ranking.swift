import Foundation

/// Return the indices of the `k` highest scores, best first.
///
/// Ties go to the lower index, NaN comes after every number; `k` beyond the count gives them all.
public func topIndices<Scores: RandomAccessCollection>(_ scores: Scores, _ k: Int) -> [Int]
where Scores.Element: BinaryFloatingPoint {
  let values = Array(scores)
  let ranked = values.indices.sorted { left, right in
    let (a, b) = (values[left], values[right])
    if a.isNaN || b.isNaN { return a.isNaN == b.isNaN ? left < right : b.isNaN }
    return a == b ? left < right : a > b
  }
  return Array(ranked.prefix(max(0, k)))
}

/// One class with its score.
public struct Prediction: Equatable, Sendable, Identifiable {
  public let id: Int
  public let label: String
  public let score: Double
  /// Length of its bar, 0 to 1; nil where the score is not a probability and not comparable to one.
  public let bar: Double?
  /// The score as text: a percentage for probabilities, else the number.
  public let text: String

  /// Put one together by hand, for previews and tests.
  public init(id: Int, label: String, score: Double, bar: Double?, text: String) {
    (self.id, self.label, self.score, self.bar, self.text) = (id, label, score, bar, text)
  }
}

/// Name the best `k` classes of one row of class scores, best first.
func predictions(_ scores: Tensor, of spec: OutputTensor, output: Output, k: Int) -> [Prediction] {
  let values = scores.values
  let isProbability = spec.holds == .probabilities
  return topIndices(values, k).map { index in
    let score = values[index]
    let bar = isProbability && score.isFinite ? min(max(score, 0), 1) : nil
    return Prediction(
      id: index, label: output.label(index, places: values.count), score: score, bar: bar,
      text: isProbability ? percent(score) : decimal(score))
  }
}

/// Write a share as a percentage with one decimal.
func percent(_ share: Double) -> String {
  share.isFinite ? String(format: "%.1f%%", share * 100) : "not a number"
}

/// Write a number with four significant digits.
func decimal(_ value: Double) -> String {
  value.isFinite ? String(format: "%.4g", value) : "not a number"
}

/// Write a small number with two digits and an exponent, as Python's reports do.
func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
