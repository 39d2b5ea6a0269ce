import Foundation
import Testing

@testable import LiteClassifier

struct GoldenCheckVector: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let tolerance: Tolerance
  let expected: [Tensor]
  let actual: [Tensor]
  let passes: Bool
  let problem: String?
  let maxAbs: Double?
  let top1: Double?

  var testDescription: String { name }
}

@Suite struct GoldenTests {
  static func checks() throws -> [GoldenCheckVector] {
    try Fixtures.list(GoldenCheckVector.self, "golden_checks.json", key: "checks")
  }

  @Test func theChecksAreThere() throws {
    let checks = try Self.checks()
    #expect(checks.count >= 25)
    #expect(Set(checks.map(\.passes)).count == 2)
  }

  // A file that cannot be read throws here, and the test fails; no arguments would not be a failure.
  @Test(arguments: try checks())
  func verdictOfPython(check: GoldenCheckVector) {
    let comparison = Comparison.between(
      expected: check.expected, actual: check.actual, tolerance: check.tolerance)
    #expect(comparison.passes == check.passes)
    #expect(comparison.problem?.rawValue == check.problem)
    #expect(comparison.maxAbs == check.maxAbs)
    #expect(comparison.top1 == check.top1)
  }

  @Test func theTinyModelPasses() throws {
    let golden = try Golden.read(Fixtures.data("contract/golden.json"), file: "tiny.ptl")
    let verdict = try GoldenVerdict.replay(golden) { [try tinyForward($0[0])] }
    #expect(verdict.passes)
    #expect(verdict.cases == 2)
    #expect(verdict.maxAbs == 0)
    #expect(verdict.top1 == 1)
    #expect(verdict.sentence.contains("2 of 2 golden vectors, max|d| 0.0e+00"))
  }

  @Test func aWrongModelFailsAndNamesTheVectors() throws {
    let golden = try Golden.read(Fixtures.data("contract/golden.json"), file: "tiny.ptl")
    let verdict = try GoldenVerdict.replay(golden) { inputs in
      let right = try tinyForward(inputs[0])
      return inputs[0].shape[0] == 4
        ? [right] : [try #require(Tensor.floats([1, 0, 0, 0, 0], shape: [1, 5]))]
    }
    #expect(!verdict.passes)
    #expect(verdict.failed == ["tall"])
    #expect(verdict.sentence.contains("1 of 2 golden vectors differ (tall)"))
  }
}
