import Foundation

/// How actual outputs differ from expected ones; the same verdicts as `runtime_check.compare`.
public struct Comparison: Equatable, Sendable {
  public enum Problem: String, Sendable { case count, shape, dtype, empty, nonfinite, values }

  /// What is wrong; nil when the outputs are equal within the tolerance.
  public let problem: Problem?
  /// The same in a few words; empty where nothing is wrong.
  public let detail: String
  /// The largest distance over pairs of finite numbers; nil where there is none.
  public let maxAbs: Double?
  /// The share of rows whose best class agrees; nil where there are no classes to rank.
  public let top1: Double?

  public var passes: Bool { problem == nil }

  /// Compare output by output. Comparing nothing is a failure; NaN must meet NaN.
  ///
  /// Of a sampled tensor the values that are held are compared, minimum, maximum and mean of all of
  /// it, and how many values are not finite. Of integers and bools a share of `flips` may differ, by
  /// whatever they do: two at least of a sample, whose mean moves no further than that share can
  /// move it. `classes` says which output ranks classes, and along which axis; without it the last
  /// axis of the first one counts as that. `found` says which outputs are boxes: those are compared
  /// in pairs, none on both sides are the same, and nothing ranks classes.
  public static func between(
    expected: [SampledTensor], actual: [Tensor], tolerance: Tolerance,
    classes: Metadata.ClassRow? = nil, found: FoundRows? = nil
  ) -> Comparison {
    guard expected.count == actual.count else {
      return unlike(.count, "\(expected.count) outputs expected, \(actual.count) came")
    }
    guard let found, expected.allSatisfy(\.isWhole) else {
      return inPlace(expected, actual, tolerance, classes, ranks: found == nil)
    }
    let (one, other) = found.paired(expected.map(\.held), actual, tolerance)
    if one.map(\.shape) == other.map(\.shape), one.allSatisfy({ $0.count == 0 }) {
      return Comparison(problem: nil, detail: "", maxAbs: nil, top1: nil)
    }
    return inPlace(one.map { SampledTensor($0) }, other, tolerance, classes, ranks: false)
  }

  /// What differs before any values are compared.
  private static func unlike(_ problem: Problem, _ detail: String, _ maxAbs: Double? = nil)
    -> Comparison
  {
    Comparison(problem: problem, detail: detail, maxAbs: maxAbs, top1: nil)
  }

  private static func inPlace(
    _ expected: [SampledTensor], _ actual: [Tensor], _ tolerance: Tolerance,
    _ classes: Metadata.ClassRow?, ranks: Bool
  ) -> Comparison {
    for (one, other) in zip(expected, actual) {
      if one.shape != other.shape {
        return unlike(.shape, "shape \(other.shape), expected \(one.shape)")
      }
      if one.dtype != other.dtype {
        return unlike(.dtype, "\(other.dtype.rawValue), expected \(one.dtype.rawValue)")
      }
    }
    if actual.allSatisfy({ $0.count == 0 }) {
      return unlike(.empty, "there is nothing to compare")
    }
    var distances = Distances()
    for (index, (one, other)) in zip(expected, actual).enumerated() {
      if one.dtype.isExact {
        distances.addWhole(one, other, flips: tolerance.flips)
      } else {
        distances.add(one, other) { tolerance.bound($0, output: index) }
      }
    }
    if let problem = distances.ofMeans { return problem }
    let problem: Problem? = !distances.alike ? .nonfinite : distances.within ? nil : .values
    let output = classes?.output ?? 0
    let canRank = ranks && expected.indices.contains(output) && expected.allSatisfy(\.isWhole)
    guard distances.alike, canRank else {
      return Comparison(
        problem: problem, detail: distances.detail, maxAbs: distances.maxAbs, top1: nil)
    }
    let axis = classes?.axis ?? expected[output].shape.count - 1
    return Comparison(
      problem: problem, detail: distances.detail, maxAbs: distances.maxAbs,
      top1: agreement(expected[output], actual[output], axis: axis))
  }

  private static func agreement(_ expected: SampledTensor, _ actual: Tensor, axis: Int) -> Double? {
    guard actual.shape.indices.contains(axis), actual.shape[axis] >= 2,
      actual.count > 0
    else { return nil }
    let wanted = expected.held.rows(along: axis)
    let got = actual.rows(along: axis)
    let same = zip(wanted, got).count { topIndices($0, 1) == topIndices($1, 1) }
    return Double(same) / Double(wanted.count)
  }
}

/// What a comparison adds up over outputs.
private struct Distances {
  var maxAbs: Double?
  /// How many finite pairs are further apart than the tolerance.
  private(set) var outside = 0
  /// How many values are not finite on one side only.
  private(set) var unlike = 0
  /// How far the means of sampled classes that may flip are apart, and may be; nil without figures.
  private var means: [(apart: Double, bound: Double)?] = []

  /// Whether every finite pair is within the tolerance.
  var within: Bool { outside == 0 }
  /// Whether what is not finite is the same on both sides.
  var alike: Bool { unlike == 0 }

  /// What is wrong, in a few words.
  var detail: String {
    if !alike { return "\(unlike) values are NaN or infinite on one side only" }
    return within ? "" : "\(outside) values are outside the tolerance"
  }

  /// What the means alone say of classes that may flip; nil where that is nothing.
  var ofMeans: Comparison? {
    guard alike, within, !means.isEmpty else { return nil }
    let known = means.compactMap { $0 }
    if known.count < means.count {
      return Comparison(
        problem: .empty, detail: "an output states no figures", maxAbs: nil, top1: nil)
    }
    guard known.contains(where: { $0.apart > $0.bound }) else { return nil }
    return Comparison(
      problem: .values, detail: "other classes where no place is held",
      maxAbs: known.map(\.apart).max(), top1: nil)
  }

  /// Add an output; `bound` is what a value may differ by.
  mutating func add(_ expected: SampledTensor, _ actual: Tensor, _ bound: (Double) -> Double) {
    for (wanted, got) in zip(expected.held.values, expected.places(of: actual).values) {
      add(wanted, got, bound)
    }
    if !expected.isWhole { addFigures(expected, Figures(actual), bound) }
  }

  /// Add an output of integers or bools, of which a share of `flips` may differ.
  mutating func addWhole(_ expected: SampledTensor, _ actual: Tensor, flips: Double) {
    let places = expected.places(of: actual)
    for (wanted, got) in zip(expected.held.values, places.values) {
      add(wanted, got) { _ in .infinity }
    }
    // As Double two very large integers can be the same when they are not.
    let size = expected.dtype.size
    let differing = stride(from: 0, to: places.bytes.count, by: size).count {
      places.bytes[$0..<$0 + size] != expected.held.bytes[$0..<$0 + size]
    }
    // A share of a sample may be less than one value of it.
    let most = max(flips * Double(places.count), expected.isWhole || flips == 0 ? 0 : 2)
    if Double(differing) > most { outside += differing }
    if expected.isWhole { return }
    let figures = Figures(actual)
    if flips == 0 { return addFigures(expected, figures) { _ in 0 } }
    // A number that flips moves the mean by no more than all numbers are apart.
    guard let lowest = expected.minimum, let highest = expected.maximum, let mean = expected.mean
    else { return means.append(nil) }
    let span = max(highest, figures.maximum ?? highest) - min(lowest, figures.minimum ?? lowest)
    means.append((abs(mean - (figures.mean ?? mean)), flips * span))
  }

  /// Add minimum, maximum and mean of an output that is sampled; what is not stated is not compared.
  private mutating func addFigures(
    _ expected: SampledTensor, _ figures: Figures, _ bound: (Double) -> Double
  ) {
    // NaN has no part in the other figures; at places that are not held it shows here alone.
    unlike += abs(figures.nonfinite - expected.nonfinite)
    // Two ways to add up the same numbers differ by the rounding of float64.
    let rounding = 1e-12 * max(abs(expected.minimum ?? 0), abs(expected.maximum ?? 0))
    for (wanted, got, slack) in [
      (expected.minimum, figures.minimum, 0), (expected.maximum, figures.maximum, 0),
      (expected.mean, figures.mean, rounding),
    ] {
      guard let wanted else { continue }
      add(wanted, got ?? .nan) { bound($0) + slack }
    }
  }

  private mutating func add(_ wanted: Double, _ got: Double, _ bound: (Double) -> Double) {
    guard wanted.isFinite, got.isFinite else {
      if wanted != got, !(wanted.isNaN && got.isNaN) { unlike += 1 }
      return
    }
    let distance = abs(wanted - got)
    maxAbs = max(maxAbs ?? 0, distance)
    if !(distance <= bound(wanted)) { outside += 1 }
  }
}

/// The smallest, the largest and the mean of a tensor's finite values, nil where there is none, and
/// how many values are not finite.
public struct Figures: Equatable, Sendable {
  public let minimum: Double?
  public let maximum: Double?
  public let mean: Double?
  public let nonfinite: Int

  public init(_ tensor: Tensor) {
    let finite = tensor.values.filter(\.isFinite)
    nonfinite = tensor.count - finite.count
    minimum = finite.min()
    maximum = finite.max()
    mean = finite.isEmpty ? nil : finite.reduce(0, +) / Double(finite.count)
  }
}
