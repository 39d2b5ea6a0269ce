import Foundation

/// What replaying a model's golden vectors on this device gave: the badge.
public struct Verification: Equatable, Sendable {
  /// Golden inputs that were replayed.
  public let cases: Int
  /// How many of them gave what Python gave.
  public let passed: Int
  /// The largest distance over all finite values; nil where nothing was compared.
  public let maxAbs: Double?
  /// What a value near zero may differ by: the largest of all outputs' tolerances.
  public let allowed: Double
  /// Whether each of several outputs has a tolerance of its own.
  public let several: Bool
  /// The share of inputs whose best class agrees, 0 to 1; nil for everything but a classifier.
  public let top1: Double?
  /// The first input that differs, and how; nil where none does.
  public let firstProblem: String?
  /// Which runtime would be asked on a computer.
  let format: FileFormat

  /// Whether every input matches; comparing nothing is a failure.
  public var passes: Bool { passed == cases && cases > 0 }

  /// Run `forward` on every golden input and compare. `classes`: which output ranks classes,
  /// `found`: which ones are boxes. An input that does not run counts as one that differs.
  static func replay(
    _ golden: Golden, classes: Metadata.ClassRow?, found: FoundRows? = nil, format: FileFormat,
    forward: ([Tensor]) throws -> [Tensor]
  ) -> Verification {
    let comparisons = golden.cases.map { vector in
      do {
        return Comparison.between(
          expected: vector.expected, actual: try forward(vector.inputs),
          tolerance: golden.tolerance, classes: classes, found: found)
      } catch {
        // A sentence follows it, with a period of its own.
        return Comparison(problem: .count, detail: readable(error), maxAbs: nil, top1: nil)
      }
    }
    let agreements = classes == nil ? [] : comparisons.compactMap(\.top1)
    let first = zip(golden.cases, comparisons).first { !$1.passes }
    return Verification(
      cases: comparisons.count, passed: comparisons.count { $0.passes },
      maxAbs: comparisons.compactMap(\.maxAbs).max(),
      allowed: golden.tolerance.outputs.max() ?? golden.tolerance.atol,
      several: golden.tolerance.outputs.count > 1,
      top1: agreements.isEmpty ? nil : agreements.reduce(0, +) / Double(agreements.count),
      firstProblem: first.map { "\($0.name): \($1.detail)" }, format: format)
  }

  /// The figures in brackets of the sentence: what does not apply is left out.
  private var figures: String {
    let distance = maxAbs.map {
      "max |d| \(scientific($0)) (allowed \(several ? "up to " : "")\(scientific(allowed)))"
    }
    let agreement = top1.map { String(format: "top-1 agreement %.0f %%", 100 * $0) }
    let known = [distance, agreement].compactMap { $0 }
    return known.isEmpty ? "" : "; " + known.joined(separator: ", ")
  }

  /// The verdict in words: what was compared, how far it is apart, and what a failure means.
  public var sentence: String {
    if passes {
      return "Verified on this device: \(passed) of \(cases) golden inputs match Python\(figures)."
    }
    return "NOT verified: only \(passed) of \(cases) golden inputs match Python\(figures). "
      + "First: \(firstProblem ?? "there is nothing to compare"). This device computes different "
      + "results than the computer that exported the file, so don't trust what it says. On a "
      + "computer, `python -m runtime_check FILE --run-on \(format.runOn)` shows where the "
      + "difference starts."
  }
}
