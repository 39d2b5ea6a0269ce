import Foundation
import Testing

@testable import LiteClassifier

/// `results.json`: outputs of a photo, and what `model.run(photo)` makes of them, worked out by hand.
private struct ResultFile {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    /// A photo's height and width.
    let photo: [Int]
    let previous: [Double]?
    /// For `ResultRuntime`: metadata and outputs.
    let model: Data
    /// JSON: what is expected, or why it is refused.
    let expected: Data

    var testDescription: String { name }
  }

  let cases: [Case]
  let refused: [Case]

  static func read() throws -> ResultFile {
    let all = try JSONSerialization.jsonObject(with: Fixtures.data("results.json"))
    let root = try #require(all as? [String: Any])
    return ResultFile(
      cases: try list(root, "cases", ["content", "others"]),
      refused: try list(root, "refused", ["why"]))
  }

  private static func list(_ root: [String: Any], _ key: String, _ expected: Set<String>) throws
    -> [Case]
  {
    let tiny = try JSONSerialization.jsonObject(with: Fixtures.data("contract/metadata.json"))
    let items = try #require(root[key] as? [[String: Any]])
    try #require(!items.isEmpty)
    return try items.map { item in
      var metadata = try #require(tiny as? [String: Any])
      metadata["task"] = item["task"]
      metadata["output"] = item["output"]
      let model: [String: Any] = ["metadata": metadata, "outputs": item["outputs"] as Any]
      return Case(
        name: try #require(item["name"] as? String), photo: try #require(item["photo"] as? [Int]),
        previous: item["previous"] as? [Double],
        model: try JSONSerialization.data(withJSONObject: model),
        expected: try JSONSerialization.data(
          withJSONObject: item.filter { expected.contains($0.key) }))
    }
  }
}

/// A runtime that gives the outputs which are written in its file.
private final class ResultRuntime: ModelRuntime {
  static let runs = FileFormat.lite
  static let version = "0.0.0-fake"
  private struct Outputs: Decodable { let outputs: [Tensor] }
  private let content: Data

  static func setThreads(_ threads: Int) throws {}

  init(path: String) throws { content = try Data(contentsOf: URL(fileURLWithPath: path)) }

  func extra(_ name: String) throws -> Data? {
    let root = try JSONSerialization.jsonObject(with: content) as? [String: Any]
    return try JSONSerialization.data(withJSONObject: try #require(root?["metadata"]))
  }

  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    try JSONDecoder().decode(Outputs.self, from: content).outputs
  }
}

@Suite struct ResultTests {
  @Test(arguments: try ResultFile.read().cases)
  private func resultOfBothLibraries(one: ResultFile.Case) async throws {
    var result = try await run(one)
    if let previous = one.previous {
      var before = result
      before.content = .embedding(Embedding(values: previous, similarity: nil))
      result = result.compared(to: before)
    }
    let ours: [String: Any] = [
      "content": json(result.content), "others": result.others.map(json),
    ]
    let theirs = try JSONSerialization.jsonObject(with: one.expected) as? NSDictionary
    let written = try JSONSerialization.data(withJSONObject: ours)
    let read = try JSONSerialization.jsonObject(with: written) as? NSDictionary
    #expect(read == theirs, "\(String(decoding: written, as: UTF8.self))")
  }

  @Test(arguments: try ResultFile.read().refused)
  private func whatDoesNotFitIsRefused(one: ResultFile.Case) async throws {
    let error = try await caught(VisionError.self) { try await run(one) }
    let expected = try JSONDecoder().decode([String: String].self, from: one.expected)
    let why = try #require(expected["why"])
    #expect(error == .runFailed(file: "x.ptl", why: why, format: .lite))
  }

  @Test func everyKindOfContentIsThere() throws {
    let kinds = try ResultFile.read().cases.map { one in
      let root = try JSONSerialization.jsonObject(with: one.expected) as? [String: Any]
      return try #require((root?["content"] as? [String: Any])?["kind"] as? String)
    }
    #expect(Set(kinds).count == 9, "as many as VisionContent has cases")
  }

  private func run(_ one: ResultFile.Case) async throws -> VisionResult {
    let folder = try ModelFolder([:])
    try one.model.write(to: folder.file("x.ptl"))
    let model = try await VisionModel.open(folder.file("x.ptl"), runtime: ResultRuntime.self)
    let (height, width) = (one.photo[0], one.photo[1])
    let image = RGBImage(
      width: width, height: height, bytes: .init(repeating: 0, count: width * height * 3))
    return try await model.run(Photo(try #require(image)))
  }
}

/// A number as JSON has it: null where it is not finite.
private func json(_ value: Double?) -> Any { value.flatMap { $0.isFinite ? $0 : nil } ?? NSNull() }

private func json(_ text: String?) -> Any { text ?? NSNull() }

private func json(_ color: RGBColor?) -> Any {
  json(color.map { String(format: "#%02x%02x%02x", Int($0.red), Int($0.green), Int($0.blue)) })
}

private func json(_ row: OutputRow) -> [String: Any] {
  [
    "name": row.name, "shape": row.shape, "axes": row.axes, "dtype": row.dtype,
    "range": row.range,
  ]
}

private func json(_ one: Detection) -> [String: Any] {
  [
    "row": one.id, "box": [one.box.left, one.box.top, one.box.right, one.box.bottom],
    "class_index": one.classIndex as Any? ?? NSNull(), "label": one.label,
    "score": json(one.score), "text": json(one.scoreText.isEmpty ? nil : one.scoreText),
    "color": json(RGBColor.ofClass(one.classIndex ?? 0)),
  ]
}

private func json(_ made: MadePicture) -> [String: Any] {
  let colors = made.image.bytes.enumerated().filter { $0.offset % 4 != 3 }.map { Int($0.element) }
  return [
    "kind": "picture", "height": made.image.height, "width": made.image.width,
    "black": made.black, "white": made.white, "unit": json(made.unit),
    "black_text": made.text(made.black), "white_text": made.text(made.white), "rgb": colors,
  ]
}

/// What a person reads of a result, by the names of the fixture.
private func json(_ content: VisionContent) -> [String: Any] {
  switch content {
  case .classes(let classes):
    let all = classes.map { one -> [String: Any] in
      [
        "index": one.id, "label": one.label, "score": json(one.score), "bar": json(one.bar),
        "text": one.text,
      ]
    }
    return ["kind": "classes", "classes": all]
  case .classMap(let map):
    let legend = map.legend.map { one -> [String: Any] in
      [
        "index": one.id, "label": one.label, "color": json(one.color), "share": one.share,
        "text": one.text,
      ]
    }
    return ["kind": "class_map", "legend": legend]
  case .depth(let depth):
    return [
      "kind": "depth", "minimum": depth.minimum, "maximum": depth.maximum,
      "unit": json(depth.unit), "minimum_text": depth.text(depth.minimum),
      "maximum_text": depth.text(depth.maximum),
    ]
  case .boxes(let boxes):
    let range: Any = boxes.range.map { [$0.lowerBound, $0.upperBound] } ?? NSNull()
    return ["kind": "boxes", "boxes": boxes.all.map(json), "range": range]
  case .keyPoints(let points):
    let all = points.map { one -> [String: Any] in
      [
        "row": one.id, "index": one.index, "label": one.label, "x": one.x, "y": one.y,
        "score": json(one.score), "text": one.text, "sure": one.isSure,
      ]
    }
    return ["kind": "key_points", "points": all]
  case .picture(let made):
    return json(made)
  case .embedding(let embedding):
    return [
      "kind": "embedding", "values": embedding.values, "cosine": json(embedding.similarity),
      "text": json(embedding.text),
    ]
  case .numbers(let numbers):
    let all = numbers.map { one -> [String: Any] in
      ["name": one.name, "value": json(one.value), "unit": json(one.unit), "text": one.text]
    }
    return ["kind": "numbers", "numbers": all]
  case .tensors(let rows):
    return ["kind": "tensors", "rows": rows.map(json)]
  }
}
