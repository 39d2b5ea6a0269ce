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
    let error = try caught(VisionError.self, read)
    let sentence = error.localizedDescription
    #expect(sentence.contains("tiny.ptl"), "which file: \(sentence)")
    #expect(sentence.hasSuffix("."), "a sentence: \(sentence)")
    switch (error, entry.verdict) {
    case (.schemaNewer(_, let version), "unsupported"):
      #expect(version.hasPrefix("3"))
    case (.schemaOlder(_, let version), "unsupported"):
      #expect(version.hasPrefix("1"))
    case (.damaged, "damaged"), (.damaged, "labels"):
      #expect(sentence.contains("extra/\(entry.record).json: "), "which record: \(sentence)")
      if let field = entry.field { #expect(sentence.contains(field), "\(sentence)") }
    default:
      Issue.record("\(entry.verdict) expected, got \(sentence)")
    }
  }

  @Test func everyFieldOfTheMetadataArrives() throws {
    let metadata = try Metadata.read(Fixtures.data("contract/metadata.json"), file: "tiny.ptl")
    #expect(metadata.name == "tiny")
    #expect(metadata.task == .imageClassification)
    guard case .image(let photo) = metadata.input else {
      Issue.record("a photo expected")
      return
    }
    #expect(photo.color == .rgb)
    #expect(photo.bounds == .init(minSide: 2, maxSide: 64, maxAspect: 8))
    #expect(photo.geometry.resize == .cover)
    #expect(photo.geometry.rounding == .down)
    #expect(photo.geometry.networkWidth == 4)
    #expect(metadata.output.returned == .tensor)
    let scores = try #require(metadata.output.tensors.first)
    #expect(scores.name == "logits")
    #expect(scores.shape == [5])
    #expect(scores.dtype == .float32)
    #expect(scores.axes == ["classes"])
    #expect(scores.holds == .probabilities)
    #expect(scores.classAxis == 0)
    #expect(metadata.classRow == .init(output: 0, axis: 0))
    let step = try #require(metadata.output.added.first)
    #expect((step.output, step.function, step.axis) == (0, .softmax, 1))
    #expect(metadata.output.labels?.last == "Größe ü 猫")
    #expect(metadata.preprocessing?.inputSize == [3, 4, 4])
    #expect(metadata.preprocessing?.cropFraction == 0.875)
    #expect(metadata.quantization.method == "none")
    #expect(metadata.tolerance.atol == 1e-5)
    #expect(metadata.runtimes.first?.runtime == "pytorch-2.1.0")
  }

  @Test func inputsOfABareNetworkArrive() throws {
    let bare = try Metadata.read(
      Fixtures.data("contract/metadata_tensor.json"), file: "tiny.ptl")
    guard case .tensors(let specs) = bare.input else {
      Issue.record("a tensor input expected")
      return
    }
    #expect(specs.map(\.name) == ["pixels", "age"])
    #expect(specs.map(\.shape) == [[1, 3, 4, 4], [1, 2]])
    #expect(specs.map(\.dtype) == [.float32, .int64])
    #expect(specs.map(\.low) == [nil, 0])
    #expect(specs.map(\.high) == [nil, 99])
    #expect(bare.preprocessing == nil)
    #expect(bare.output.labels == nil)
    #expect(bare.classRow == .init(output: 0, axis: 1), "a batch of one is a row")
  }

  @Test func severalOutputsArriveInOrder() throws {
    let detector = try Metadata.read(
      Fixtures.data("contract/metadata_detector.json"), file: "tiny.ptl")
    #expect(detector.task == .objectDetection)
    #expect(detector.output.returned == .list)
    #expect(detector.output.tensors.map(\.name) == ["boxes", "labels", "scores"])
    #expect(detector.output.tensors.map(\.holds) == [.boxes, .classIndex, .scores])
    #expect(detector.output.tensors.map(\.space) == [.network, nil, nil])
    #expect(detector.output.tensors.map(\.varies) == [true, true, true])
    #expect(detector.classRow == nil)
    let limits = try #require(detector.output.detection)
    #expect(limits.scoreThreshold == 0.25)
    #expect(limits.iouThreshold == 0.5)
    #expect(limits.maxDetections == 300)
    let rows = try #require(FoundRows(detector.output))
    #expect([rows.boxes, rows.classes, rows.scores] == [0, 1, 2])
    #expect(rows.rows == [0, 1, 2])
    let segmentation = try Metadata.read(
      Fixtures.data("contract/metadata_segmentation.json"), file: "tiny.ptl")
    // Its second output is a row of classes, but that is not what it is for.
    #expect(segmentation.output.tensors.map(\.classAxis) == [0, 0])
    #expect(segmentation.classRow == nil)
    let untold = try Metadata.read(
      Fixtures.data("contract/metadata_no_task.json"), file: "tiny.ptl")
    #expect(untold.task == nil)
    #expect(untold.classRow == nil)
  }

  @Test(arguments: [
    ("image-classification", [1, 5], true), ("multi-label-classification", [5], true),
    ("image-classification", [2, 5], false), ("image-regression", [5], false),
  ])
  func aRowOfClassesIsOneClassifiersForOnePhoto(task: String, shape: [Int], isRow: Bool) throws {
    let axes = shape.count == 1 ? ["classes"] : ["N", "classes"]
    let metadata = try described(task, [described("out", shape, axes, "logits")])
    #expect((metadata.classRow != nil) == isRow)
  }

  @Test(arguments: [
    ("holds", "scores", 2, true), ("holds", "embedding", 2, false),
    ("holds", "class_map", 2, false),
  ])
  func onlyWhatRanksHasAClassAxis(key: String, holds: String, places: Int, has: Bool) throws {
    let metadata = try described(
      nil, [described("out", [places, 3, 3], ["C", "H", "W"], holds, space: "network")])
    #expect(metadata.output.tensors[0].classAxis == (has ? 0 : nil))
  }

  @Test(arguments: [
    ("output", "returned", "pair"), ("output", "tensors.0.holds", "hope"),
    ("output", "tensors.0.space", "outer"), ("output", "tensors.0.dtype", "float16"),
  ])
  func aWordThatTheContractDoesNotHaveIsNamed(
    part: String, field: String, word: String
  ) throws {
    let whole = try JSONSerialization.jsonObject(with: Fixtures.data("contract/metadata.json"))
    var root = try #require(whole as? [String: Any])
    var output = try #require(root[part] as? [String: Any])
    let keys = field.split(separator: ".").map(String.init)
    if keys.count == 1 {
      output[field] = word
    } else {
      var tensors = try #require(output["tensors"] as? [[String: Any]])
      tensors[0][keys[2]] = word
      output["tensors"] = tensors
    }
    root[part] = output
    let json = try JSONSerialization.data(withJSONObject: root)
    let error = try caught(VisionError.self) { try Metadata.read(json, file: "tiny.ptl") }
    #expect(error.localizedDescription.contains("field \(part).\(field): "))
  }

  @Test func labelsAreThoseOfTheAxisTheyFit() throws {
    let tensors = [
      described("out", [3, 2, 2], ["C", "H", "W"], "logits", space: "network"),
      described("aux", [7], ["classes"], "logits"),
    ]
    let output = try described("image-segmentation", tensors, labels: ["a", "b", "c"]).output
    #expect(output.label(1, places: 3) == "b")
    #expect(output.label(1, places: 7) == "class 1")
    #expect(output.label(1) == "b")
    #expect(output.label(3) == "class 3")
    #expect(throws: VisionError.self) {
      try described("image-segmentation", tensors, labels: ["a", "b"])
    }
  }

  @Test func anAbsentAspectIsTheContractsDefault() throws {
    let metadata = try Metadata.read(
      Fixtures.data("contract/metadata_no_max_aspect.json"), file: "tiny.ptl")
    guard case .image(let photo) = metadata.input else {
      Issue.record("a photo expected")
      return
    }
    #expect(photo.bounds == .init(minSide: 2, maxSide: 64, maxAspect: 32))
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
