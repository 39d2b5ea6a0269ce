import Foundation
import Testing

@testable import LiteClassifier

struct IndexEntry: Decodable, Sendable, CustomTestStringConvertible {
  let file: String
  let record: String
  let verdict: String
  let field: String?

  var testDescription: String { file }

  static func all() throws -> [IndexEntry] {
    struct Index: Decodable { let files: [IndexEntry] }
    return try Fixtures.read(Index.self, "contract/index.json").files
  }
}

@Suite struct ContractTests {
  @Test func theIndexIsThere() throws {
    #expect(try IndexEntry.all().count >= 20)
  }

  // A file that cannot be read throws here, and the test fails; no arguments would not be a failure.
  @Test(arguments: try IndexEntry.all())
  func verdictOfTheIndex(entry: IndexEntry) throws {
    let json = try Fixtures.data("contract/\(entry.file)")
    func read() throws {
      if entry.record == "metadata" {
        _ = try Metadata.read(json, file: "tiny.ptl")
      } else {
        _ = try Golden.read(json, file: "tiny.ptl")
      }
    }
    if entry.verdict == "ok" {
      try read()
      return
    }
    let error = try caught(ModelError.self, read)
    let sentence = error.localizedDescription
    #expect(sentence.contains("tiny.ptl"), "which file: \(sentence)")
    #expect(sentence.contains("\(entry.record).json"), "which record: \(sentence)")
    #expect(sentence.hasSuffix("."), "a sentence: \(sentence)")
    switch (error, entry.verdict) {
    case (.unsupported(_, _, let version), "unsupported"):
      #expect(sentence.contains(version))
      #expect(sentence.contains("Update the app") == version.hasPrefix("2"))
    case (.damaged, "damaged"), (.damaged, "labels"):
      if let field = entry.field { #expect(sentence.contains(field), "\(sentence)") }
    default:
      Issue.record("\(entry.verdict) expected, got \(sentence)")
    }
  }

  @Test func everyFieldOfTheMetadataArrives() throws {
    let metadata = try Metadata.read(Fixtures.data("contract/metadata.json"), file: "tiny.ptl")
    #expect(metadata.name == "tiny")
    #expect(metadata.input == .image(.init(minSide: 2, maxSide: 64, maxAspect: 8)))
    #expect(metadata.output.activation == .softmax)
    #expect(metadata.output.labels?.last == "Größe ü 猫")
    #expect(metadata.preprocessing?.inputSize == [3, 4, 4])
    #expect(metadata.preprocessing?.cropFraction == 0.875)
    #expect(metadata.quantization.method == "none")
    #expect(metadata.tolerance.atol == 1e-5)
    #expect(metadata.runtimes.first?.runtime == "pytorch-2.1.0")
    let bare = try Metadata.read(
      Fixtures.data("contract/metadata_tensor.json"), file: "tiny.ptl")
    guard case .tensors(let specs) = bare.input else {
      Issue.record("a tensor input expected")
      return
    }
    #expect(specs.first?.shape == [1, 3, 4, 4])
    #expect(bare.preprocessing == nil)
    #expect(bare.output.labels == nil)
  }

  @Test func anAbsentAspectIsTheContractsDefault() throws {
    let metadata = try Metadata.read(
      Fixtures.data("contract/metadata_no_max_aspect.json"), file: "tiny.ptl")
    #expect(metadata.input == .image(.init(minSide: 2, maxSide: 64, maxAspect: 32)))
  }

  @Test func tensorsRefuseShapesThatDoNotFit() {
    #expect(Tensor(dtype: .float32, shape: [2, 3], bytes: .init(repeating: 0, count: 24)) != nil)
    #expect(Tensor(dtype: .float32, shape: [2, 3], bytes: .init(repeating: 0, count: 23)) == nil)
    #expect(Tensor(dtype: .uint8, shape: [-1, -4], bytes: .init(repeating: 0, count: 4)) == nil)
    #expect(Tensor(dtype: .uint8, shape: [Int.max, 8], bytes: []) == nil)
    #expect(Tensor(dtype: .uint8, shape: [0, Int.max], bytes: [])?.count == 0)
    #expect(Tensor(dtype: .float64, shape: [], bytes: .init(repeating: 0, count: 8))?.values == [0])
  }
}
