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
}

/// Name the best `k` classes of an output that holds one row of class scores.
///
/// Throws `ModelError` when the output is not one row, or has another number of classes than labels.
public func predictions(_ output: [Tensor], metadata: Metadata, file: String, k: Int) throws
  -> [Prediction]
{
  guard let scores = output.first, let classes = scores.shape.last, classes == scores.count,
    classes > 0
  else {
    throw ModelError.runtime(
      file: file,
      why: "its first output, shape \(output.first?.shape ?? []), is not one row of "
        + "class scores. Export a classifier, or use this file for its benchmark only.")
  }
  let labels = metadata.output.labels
  guard labels == nil || labels?.count == classes else {
    throw ModelError.runtime(
      file: file, why: "\(classes) scores came out for \(labels?.count ?? 0) labels.")
  }
  let values = scores.values
  let isProbability = metadata.output.activation != .none
  return topIndices(values, k).map { index in
    let score = values[index]
    let bar = isProbability && score.isFinite ? min(max(score, 0), 1) : nil
    return Prediction(
      id: index, label: labels?[index] ?? "class \(index)", score: score, bar: bar,
      text: isProbability ? percent(score) : String(format: "%.3f", score))
  }
}

/// Write a share as a percentage with one decimal.
func percent(_ share: Double) -> String {
  share.isFinite ? String(format: "%.1f%%", share * 100) : "not a number"
}

/// Write a small number with two digits and an exponent, as Python's reports do.
func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
