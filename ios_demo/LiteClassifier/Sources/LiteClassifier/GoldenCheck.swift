import Foundation

/// How actual outputs differ from expected ones; the same verdicts as `runtime_check.compare`.
public struct Comparison: Equatable, Sendable {
  public enum Problem: String, Sendable { case count, shape, dtype, empty, nonfinite, values }

  /// What is wrong; nil when the outputs are equal within the tolerance.
  public let problem: Problem?
  /// The largest distance over pairs of finite numbers; nil where there is none.
  public let maxAbs: Double?
  /// The share of rows whose best class agrees; nil where there are no classes to rank.
  public let top1: Double?

  public var passes: Bool { problem == nil }

  /// Compare output by output. Comparing nothing is a failure; NaN must meet NaN.
  public static func between(
    expected: [Tensor], actual: [Tensor], tolerance: Tolerance
  ) -> Comparison {
    func unlike(_ problem: Problem) -> Comparison {
      Comparison(problem: problem, maxAbs: nil, top1: nil)
    }
    guard expected.count == actual.count else { return unlike(.count) }
    for (one, other) in zip(expected, actual) {
      if one.shape != other.shape { return unlike(.shape) }
      if one.dtype != other.dtype { return unlike(.dtype) }
    }
    var maxAbs: Double?
    var within = true
    var alike = true
    for (one, other) in zip(expected, actual) {
      for (wanted, got) in zip(one.values, other.values) {
        guard wanted.isFinite, got.isFinite else {
          alike = alike && (wanted == got || (wanted.isNaN && got.isNaN))
          continue
        }
        let distance = abs(wanted - got)
        maxAbs = max(maxAbs ?? 0, distance)
        within = within && distance <= tolerance.atol + tolerance.rtol * abs(wanted)
      }
    }
    if expected.allSatisfy({ $0.count == 0 }) { return unlike(.empty) }
    let problem: Problem? = !alike ? .nonfinite : within ? nil : .values
    return Comparison(
      problem: problem, maxAbs: maxAbs,
      top1: alike ? agreement(expected[0], actual[0]) : nil)
  }

  private static func agreement(_ expected: Tensor, _ actual: Tensor) -> Double? {
    guard let classes = expected.shape.last, classes >= 2, expected.count > 0 else { return nil }
    let wanted = expected.values
    let got = actual.values
    let rows = wanted.count / classes
    let same = (0..<rows).count { row in
      let range = row * classes..<(row + 1) * classes
      return topIndices(wanted[range], 1) == topIndices(got[range], 1)
    }
    return Double(same) / Double(rows)
  }
}

/// What replaying a model's golden vectors on this device gave: the badge.
public struct GoldenVerdict: Equatable, Sendable {
  public let cases: Int
  public let failed: [String]
  public let maxAbs: Double?
  public let top1: Double?

  public var passes: Bool { failed.isEmpty && cases > 0 }

  /// Run `forward` on every golden input and compare.
  public static func replay(
    _ golden: Golden, forward: ([Tensor]) throws -> [Tensor]
  ) rethrows -> GoldenVerdict {
    var failed: [String] = []
    var maxAbs: Double?
    var agreements: [Double] = []
    for golden_case in golden.cases {
      let comparison = Comparison.between(
        expected: golden_case.expected, actual: try forward(golden_case.inputs),
        tolerance: golden.tolerance)
      if !comparison.passes { failed.append(golden_case.name) }
      if let distance = comparison.maxAbs { maxAbs = max(maxAbs ?? 0, distance) }
      if let top1 = comparison.top1 { agreements.append(top1) }
    }
    return GoldenVerdict(
      cases: golden.cases.count, failed: failed, maxAbs: maxAbs,
      top1: agreements.isEmpty ? nil : agreements.reduce(0, +) / Double(agreements.count))
  }

  /// The verdict in one sentence.
  public var sentence: String {
    let distance = maxAbs.map { ", max|d| " + scientific($0) } ?? ""
    let agreement = top1.map { ", top-1 agreement \(percent($0))" } ?? ""
    if passes {
      return "This device computes what Python computes: \(cases) of \(cases) golden vectors"
        + "\(distance)\(agreement)."
    }
    return "This device does not compute what Python computes: \(failed.count) of \(cases) golden "
      + "vectors differ (\(failed.joined(separator: ", ")))\(distance)\(agreement)."
  }
}
