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

  private func best(_ values: [Float], _ metadata: Metadata, k: Int) throws -> [Prediction] {
    let spec = metadata.output.tensors[0]
    let scores = try #require(Tensor.floats(values, shape: spec.shape))
    return predictions(scores, of: spec, output: metadata.output, k: k)
  }

  private func tiny() throws -> Metadata {
    try Metadata.read(Fixtures.data("contract/metadata.json"), file: "tiny.ptl")
  }

  @Test func predictionsNameTheClasses() throws {
    let best = try best([0.1, 0.5, 0.05, 0.05, 0.3], tiny(), k: 3)
    #expect(best.map(\.label) == ["beech, beech tree", "Größe ü 猫", "amber"])
    #expect(best.map(\.text) == ["50.0%", "30.0%", "10.0%"])
    #expect(best.map(\.bar) == [0.5, Double(Float(0.3)), Double(Float(0.1))])
  }

  @Test func aModelWithoutLabelsCountsItsClassesAndLogitsHaveNoBar() throws {
    let logits = described("out", [1, 2], ["N", "classes"], "logits")
    let best = try best([0.25, 7.5], described("image-classification", [logits]), k: 5)
    #expect(best.map(\.label) == ["class 1", "class 0"])
    #expect(best.map(\.text) == ["7.5", "0.25"])
    #expect(best.map(\.bar) == [nil, nil])
  }

  @Test func nanHasNoBar() throws {
    let best = try best([.nan, .nan, .nan, .nan, 0.5], tiny(), k: 2)
    #expect(best.map(\.id) == [4, 0])
    #expect(best[1].bar == nil)
    #expect(best[1].text == "not a number")
  }
}
