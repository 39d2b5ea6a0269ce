import Foundation
import Testing

@testable import LiteClassifier

private struct TopVector: Decodable {
  let scores: [Float]
  let k: Int
  let indices: [Int]
}

private struct StatisticsVector: Decodable {
  let samplesMs: [Double]
  let medianMs: Double
  let p95Ms: Double
}

@Suite struct RankingTests {
  @Test func topIndicesOfPython() throws {
    for vector in try Fixtures.list(TopVector.self, "top_k.json") {
      #expect(topIndices(vector.scores, vector.k) == vector.indices, "\(vector.scores.prefix(9))")
    }
  }

  @Test func aNegativeCountGivesNothing() {
    #expect(topIndices([1.0, 2.0], -3).isEmpty)
  }

  @Test func statisticsOfPython() throws {
    for vector in try Fixtures.list(StatisticsVector.self, "statistics.json") {
      #expect(median(vector.samplesMs) == vector.medianMs)
      #expect(percentile95(vector.samplesMs) == vector.p95Ms)
    }
    #expect(median([]) == nil)
    #expect(percentile95([]) == nil)
  }

  private func tiny(_ name: String = "metadata") throws -> Metadata {
    try Metadata.read(Fixtures.data("contract/\(name).json"), file: "tiny.ptl")
  }

  @Test func predictionsNameTheClasses() throws {
    let output = try #require(Tensor.floats([0.1, 0.5, 0.05, 0.05, 0.3], shape: [1, 5]))
    let best = try predictions([output], metadata: tiny(), file: "tiny.ptl", k: 3)
    #expect(best.map(\.label) == ["beech, beech tree", "Größe ü 猫", "amber"])
    #expect(best.map(\.text) == ["50.0%", "30.0%", "10.0%"])
    #expect(best.map(\.bar) == [0.5, Double(Float(0.3)), Double(Float(0.1))])
  }

  @Test func aModelWithoutLabelsCountsItsClasses() throws {
    let output = try #require(Tensor.floats([0.25, 0.75], shape: [2]))
    let best = try predictions([output], metadata: tiny("metadata_tensor"), file: "t", k: 5)
    #expect(best.map(\.label) == ["class 1", "class 0"])
  }

  @Test func nanHasNoBar() throws {
    let output = try #require(Tensor.floats([.nan, .nan, .nan, .nan, 0.5], shape: [1, 5]))
    let best = try predictions([output], metadata: tiny(), file: "tiny.ptl", k: 2)
    #expect(best.map(\.id) == [4, 0])
    #expect(best[1].bar == nil)
    #expect(best[1].text == "not a number")
  }

  @Test(arguments: [[2, 5], [1, 4], [0], []])
  func outputsThatAreNoRowOfScoresAreExplained(shape: [Int]) throws {
    let count = shape.reduce(1, *)
    let output = try #require(
      Tensor.floats(.init(repeating: 0.1, count: count), shape: shape))
    let error = try caught(ModelError.self) {
      try predictions([output], metadata: tiny(), file: "tiny.ptl", k: 5)
    }
    #expect(error.localizedDescription.hasPrefix("tiny.ptl could not be run: "))
  }

  @Test func noOutputIsExplained() throws {
    #expect(throws: ModelError.self) {
      try predictions([], metadata: tiny(), file: "tiny.ptl", k: 5)
    }
  }
}
