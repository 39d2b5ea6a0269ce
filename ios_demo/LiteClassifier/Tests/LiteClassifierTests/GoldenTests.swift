import Foundation
import Testing

@testable import LiteClassifier

struct GoldenCheckVector: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let output: Output?
  let tolerance: Tolerance
  let expected: [SampledTensor]
  let actual: [Tensor]
  let passes: Bool
  let problem: String?
  let maxAbs: Double?
  let top1: Double?

  enum CodingKeys: String, CodingKey {
    case name, output, tolerance, expected, actual, passes, problem, top1
    case maxAbs = "max_abs"
  }

  var testDescription: String { name }
}

@Suite struct GoldenTests {
  static func checks() throws -> [GoldenCheckVector] {
    try Fixtures.list(
      GoldenCheckVector.self, "golden_checks.json", key: "checks", keys: .useDefaultKeys)
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
      expected: check.expected, actual: check.actual, tolerance: check.tolerance,
      found: check.output.flatMap { FoundRows($0) })
    #expect(comparison.passes == check.passes)
    #expect(comparison.problem?.rawValue == check.problem)
    #expect(comparison.maxAbs == check.maxAbs)
    #expect(comparison.top1 == check.top1)
  }

  private static let row = Metadata.ClassRow(output: 0, axis: 0)

  @Test func theTinyModelPasses() throws {
    let golden = try Golden.read(Fixtures.data("contract/golden.json"), file: "tiny.ptl")
    let verdict = Verification.replay(golden, classes: Self.row, format: .lite) {
      [try tinyForward($0[0])]
    }
    #expect(verdict.passes)
    #expect(verdict.cases == 3)
    #expect(verdict.maxAbs == 0)
    #expect(verdict.top1 == 1)
    #expect(verdict.allowed == golden.tolerance.atol && !verdict.several)
    #expect(verdict.firstProblem == nil)
  }

  @Test func aWrongModelFailsAndNamesTheVectors() throws {
    let golden = try Golden.read(Fixtures.data("contract/golden.json"), file: "tiny.ptl")
    let verdict = Verification.replay(golden, classes: Self.row, format: .lite) { inputs in
      let right = try tinyForward(inputs[0])
      return inputs[0].shape[0] == 4
        ? [right] : [try #require(Tensor.floats([1, 0, 0, 0, 0], shape: [5]))]
    }
    #expect(!verdict.passes)
    #expect(verdict.passed == 1)
    #expect(verdict.firstProblem == "tall: 5 values are outside the tolerance")
  }

  private func tolerance(_ atol: Double, outputs: [Double] = [], flips: Double = 0) throws
    -> Tolerance
  {
    let json: [String: Any] = [
      "atol": atol, "rtol": 0, "outputs": outputs, "flips": flips, "basis": "by hand",
    ]
    return try JSONDecoder().decode(
      Tolerance.self, from: JSONSerialization.data(withJSONObject: json))
  }

  /// What a golden vector says of every `stride`-th of `values`, read from its JSON.
  private func sampled(
    _ values: [Float], _ stride: Int, start: Int = 0, minimum: Double?, maximum: Double?,
    mean: Double?
  ) throws -> SampledTensor {
    let whole = try #require(Tensor.floats(values, shape: [values.count]))
    var json: [String: Any] = [
      "shape": [values.count], "dtype": "float32", "start": start, "stride": stride,
      "data": Data(whole.every(stride, from: start).bytes).base64EncodedString(),
    ]
    json["minimum"] = minimum
    json["maximum"] = maximum
    json["mean"] = mean
    return try JSONDecoder().decode(
      SampledTensor.self, from: JSONSerialization.data(withJSONObject: json))
  }

  @Test func integersThatADoubleCannotTellApartDiffer() throws {
    let one = try #require(Tensor.integers([1 << 53], shape: [1]))
    let other = try #require(Tensor.integers([1 << 53 | 1], shape: [1]))
    let comparison = try Comparison.between(
      expected: [SampledTensor(one)], actual: [other], tolerance: tolerance(10))
    #expect(comparison.problem == .values)
  }

  @Test func aShareOfTheClassesMayFlip() throws {
    let expected = try #require(Tensor.integers(.init(repeating: 3, count: 10), shape: [2, 5]))
    var flipped = [Int64](repeating: 3, count: 10)
    flipped[7] = 90
    let actual = try #require(Tensor.integers(flipped, shape: [2, 5]))
    for (flips, passes) in [(0.1, true), (0.09, false), (0, false)] {
      let comparison = try Comparison.between(
        expected: [SampledTensor(expected)], actual: [actual],
        tolerance: tolerance(0, flips: flips))
      #expect(comparison.passes == passes)
      #expect(comparison.maxAbs == 87)
    }
    let zero = try #require(Tensor.floats([0], shape: [1]))
    let one = try #require(Tensor.floats([1], shape: [1]))
    let floats = try Comparison.between(
      expected: [SampledTensor(zero)], actual: [one], tolerance: tolerance(0, flips: 1))
    #expect(floats.problem == .values, "floats do not flip")
    #expect(throws: DecodingError.self) { try tolerance(0, flips: 1.5) }
  }

  @Test func classesThatFlipWhereNobodyLooksShowInTheMean() throws {
    // Twelve classes, every fourth held; at most one in four may flip, by at most 0 to 4.
    let classes: [Int64] = [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    let json: [String: Any] = [
      "shape": [12], "dtype": "int64", "start": 0, "stride": 4, "minimum": 0, "maximum": 4,
      "mean": 1.0 / 3,
      "data": Data([4, 0, 0].flatMap { [$0, 0, 0, 0, 0, 0, 0, 0] as [UInt8] })
        .base64EncodedString(),
    ]
    let golden = try JSONDecoder().decode(
      SampledTensor.self, from: JSONSerialization.data(withJSONObject: json))
    func passes(_ changes: [Int: Int64], flips: Double) throws -> Bool {
      var changed = classes
      for (place, value) in changes { changed[place] = value }
      let actual = try #require(Tensor.integers(changed, shape: [12]))
      return try Comparison.between(
        expected: [golden], actual: [actual], tolerance: tolerance(0, flips: flips)
      ).passes
    }
    #expect(try passes([:], flips: 0))
    #expect(try passes([1: 4, 2: 4, 3: 4], flips: 0.25), "three of twelve")
    #expect(try !passes([1: 4, 2: 4, 3: 4], flips: 0.2))
    #expect(try !passes([1: 1], flips: 0))
    #expect(try passes([0: 0, 4: 4], flips: 0.1), "two of those that are held, always")
    #expect(try !passes([0: 0, 4: 4, 8: 4], flips: 0.5), "all three that are held")
  }

  @Test func everyOutputHasItsOwnTolerance() throws {
    let zero = try #require(Tensor.floats([0], shape: [1]))
    let half = try #require(Tensor.floats([0.5], shape: [1]))
    let own = try tolerance(0.5, outputs: [0, 0.5])
    let expected = [SampledTensor(zero), SampledTensor(zero)]
    func passes(_ actual: [Tensor]) -> Bool {
      Comparison.between(expected: expected, actual: actual, tolerance: own).passes
    }
    #expect(passes([zero, half]))
    #expect(!passes([half, zero]))
  }

  @Test func placesThatAreNotHeldShowInTheFigures() throws {
    let values: [Float] = [1, 5, -3, 2, 0]
    let golden = try sampled(values, 3, start: 1, minimum: -3, maximum: 5, mean: 1)
    #expect(golden.held.values == [5, 0])
    func problem(_ values: [Float], _ atol: Double) throws -> Comparison.Problem? {
      let actual = try #require(Tensor.floats(values, shape: [5]))
      return try Comparison.between(
        expected: [golden], actual: [actual], tolerance: tolerance(atol)
      ).problem
    }
    #expect(try problem(values, 0) == nil)
    #expect(try problem([1, 5.5, -3, 2, 0], 0.25) == .values, "one that is held")
    #expect(try problem([1, 5, -3.5, 2.5, 0], 0.25) == .values, "the minimum")
    #expect(try problem([6, 5, -3, -3, 0], 0.25) == .values, "the maximum")
    #expect(try problem([2, 5, -3, 2, 0], 0.25) == nil, "the mean is 0.2 off, which is allowed")
    #expect(try problem([2, 5, -3, 2, 0], 0.1) == .values)
    #expect(try problem([.nan, .nan, .nan, .nan, .nan], 9) == .nonfinite)
  }

  @Test func theOrderOfASumIsNoDifference() throws {
    // Forwards both ones are lost in the large number's rounding, backwards they count as two.
    let values: [Float] = [1e16, 1, 1, 0]
    let backwards = values.reversed().reduce(0.0) { $0 + Double($1) } / 4
    let forwards = values.reduce(0.0) { $0 + Double($1) } / 4
    #expect(backwards != forwards)
    let golden = try sampled(
      values, 3, minimum: 0, maximum: Double(Float(1e16)), mean: backwards)
    let actual = try #require(Tensor.floats(values, shape: [4]))
    let comparison = try Comparison.between(
      expected: [golden], actual: [actual], tolerance: tolerance(0))
    #expect(comparison.passes)
  }

  @Test func classesAreRankedAlongTheirAxis() throws {
    // Two classes for a batch of three: photos 1 and 3 agree, photo 2 does not.
    let expected = try #require(Tensor.floats([1, 0, 5, 0, 1, 9], shape: [2, 3]))
    let actual = try #require(Tensor.floats([1, 1, 5, 0, 0, 9], shape: [2, 3]))
    let other = try #require(Tensor.floats([1, 2], shape: [2]))
    let comparison = try Comparison.between(
      expected: [SampledTensor(other), SampledTensor(expected)], actual: [other, actual],
      tolerance: tolerance(1), classes: .init(output: 1, axis: 0))
    let twoThirds = 2.0 / 3
    #expect(comparison.top1 == twoThirds)
  }
}
