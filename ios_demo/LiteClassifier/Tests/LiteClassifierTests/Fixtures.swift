import Foundation
import Testing

@testable import LiteClassifier

/// The files that pytest, JUnit and swift test share; `tests/mobile/golden_files.py` writes them.
enum Fixtures {
  static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["GOLDEN_DIR"] {
      return URL(fileURLWithPath: path, isDirectory: true)
    }
    // ios_demo/LiteClassifier/Tests/LiteClassifierTests/Fixtures.swift
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<5 { root.deleteLastPathComponent() }
    return root.appendingPathComponent("tests/golden", isDirectory: true)
  }()

  static func data(_ name: String) throws -> Data {
    try Data(contentsOf: folder.appendingPathComponent(name))
  }

  /// Decode a fixture; numbers JSON has no word for are strings there.
  ///
  /// What holds a part of the metadata, whose types name their keys themselves, needs `keys` as
  /// they are: converted ones are not found, and what is optional is nil then.
  static func read<Fixture: Decodable>(
    _ type: Fixture.Type, _ name: String,
    keys: JSONDecoder.KeyDecodingStrategy = .convertFromSnakeCase
  ) throws -> Fixture {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = keys
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return try decoder.decode(type, from: data(name))
  }

  /// Decode the list under `key` of a fixture. A list that is empty would test nothing.
  static func list<Item: Decodable>(
    _ type: Item.Type, _ name: String, key: String = "vectors",
    keys: JSONDecoder.KeyDecodingStrategy = .convertFromSnakeCase
  ) throws -> [Item] {
    let items = try read(ListFile<Item>.self, name, keys: keys)
    let found = key == "vectors" ? items.vectors : items.checks
    let list = try #require(found)
    try #require(!list.isEmpty)
    return list
  }

  private struct ListFile<Item: Decodable>: Decodable {
    let vectors: [Item]?
    let checks: [Item]?
  }
}

/// The tiny model of the fixtures: class c gets the share of the bytes at flat index = c (mod 5).
func tinyForward(_ image: Tensor) throws -> Tensor {
  var sums = [Float](repeating: 0, count: 5)
  for (index, byte) in image.bytes.enumerated() { sums[index % 5] += Float(byte) }
  let total = sums.reduce(0, +)
  return try #require(Tensor.floats(sums.map { $0 / total }, shape: [5]))
}

/// Metadata of the tiny model with another task and other outputs.
func described(_ task: String?, _ tensors: [[String: Any]], labels: [String]? = nil) throws
  -> Metadata
{
  try Metadata.read(record(task, tensors, labels: labels), file: "tiny.ptl")
}

/// The record of `described`.
func record(_ task: String?, _ tensors: [[String: Any]], labels: [String]? = nil) throws -> Data {
  let whole = try JSONSerialization.jsonObject(with: Fixtures.data("contract/metadata.json"))
  var root = try #require(whole as? [String: Any])
  root["task"] = task as Any? ?? NSNull()
  root["output"] = [
    "returned": tensors.count == 1 ? "tensor" : "list", "tensors": tensors, "added": [Any](),
    "labels": labels as Any? ?? NSNull(),
  ]
  return try JSONSerialization.data(withJSONObject: root)
}

/// One output as the metadata has it.
func described(
  _ name: String, _ shape: [Int], _ axes: [String], _ holds: String, space: String? = nil,
  unit: String? = nil, dtype: String = "float32"
) -> [String: Any] {
  [
    "name": name, "shape": shape, "axes": axes, "holds": holds, "dtype": dtype, "varies": false,
    "space": space as Any? ?? NSNull(), "unit": unit as Any? ?? NSNull(),
  ]
}

extension Tensor {
  static func floats(_ values: [Float], shape: [Int]) -> Tensor? {
    Tensor(dtype: .float32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
  }

  static func integers(_ values: [Int64], shape: [Int]) -> Tensor? {
    Tensor(dtype: .int64, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
  }
}

/// A runtime without torch. A "model file" is text: the names of a metadata and of a golden record,
/// beside the file or among the fixtures, then what it does: `right`, `wrong` (adds one to class 0),
/// `throws` (for the tall one of the golden images: `halting`), `wide` (six scores), `two` (the right scores twice) or `slow` (right, but late).
final class FakeRuntime: ModelRuntime {
  struct Failure: LocalizedError {
    let errorDescription: String?
  }

  static let runs = FileFormat.lite
  static let version = "0.0.0-fake"
  let metadata: String
  let golden: String
  let behavior: String
  private let folder: URL

  static func setThreads(_ threads: Int) throws {
    guard threads > 0 else { throw Failure(errorDescription: "threads must be 1 to 1024") }
  }

  init(path: String) throws {
    let words = try String(contentsOfFile: path, encoding: .utf8).split(separator: " ")
    guard words.count == 3 else { throw Failure(errorDescription: "not a zip archive") }
    folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    (metadata, golden, behavior) = (String(words[0]), String(words[1]), String(words[2]))
  }

  func extra(_ name: String) throws -> Data? {
    let fixture = name == "metadata.json" ? metadata : golden
    if fixture == "-" { return nil }
    let beside = folder.appendingPathComponent("\(fixture).json")
    return try (try? Data(contentsOf: beside)) ?? Fixtures.data("contract/\(fixture).json")
  }

  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    let output = try tinyForward(inputs[0])
    switch behavior {
    case "throws":
      throw Failure(errorDescription: "the image must have three channels")
    case "halting" where inputs[0].shape[0] > inputs[0].shape[1]:
      throw Failure(errorDescription: "it stopped.")
    case "empty":
      throw Failure(errorDescription: "std::bad_alloc")
    case "wrong":
      var values = output.values.map(Float.init)
      values[0] += 1
      return [try #require(Tensor.floats(values, shape: [5]))]
    case "wide":
      return [try #require(Tensor.floats([1, 2, 3, 4, 5, 6], shape: [6]))]
    case "two":
      return [output, output]
    case "slow":
      Thread.sleep(forTimeInterval: 0.2)
      return [output]
    default:
      return [output]
    }
  }
}

/// A value that several threads share.
final class Locked<Value: Sendable>: @unchecked Sendable {
  private var held: Value
  private let lock = NSLock()

  init(_ value: Value) { held = value }

  var value: Value {
    get { lock.withLock { held } }
    set { lock.withLock { held = newValue } }
  }
}

/// A folder of fake model files that goes when the test ends.
final class ModelFolder: Sendable {
  let url: URL

  /// `records` lie beside the files, for `FakeRuntime`, by name without extension.
  init(_ files: [String: String], records: [String: Data] = [:]) throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    for (name, text) in files {
      try Data(text.utf8).write(to: url.appendingPathComponent(name))
    }
    for (name, data) in records {
      try data.write(to: url.appendingPathComponent("\(name).json"))
    }
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func file(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// Run `body`, which must throw an error of this type, and return the error.
func caught<Failure: Error, Result: Sendable>(_ type: Failure.Type, _ body: () throws -> Result)
  throws
  -> Failure
{
  do {
    _ = try body()
  } catch let error as Failure {
    return error
  }
  throw NothingThrown()
}

/// The same for a body that waits.
func caught<Failure: Error, Result: Sendable>(
  _ type: Failure.Type, isolation: isolated (any Actor)? = #isolation,
  _ body: () async throws -> Result
) async throws -> Failure {
  do {
    _ = try await body()
  } catch let error as Failure {
    return error
  }
  throw NothingThrown()
}

/// What was expected did not happen.
struct NothingThrown: Error {}
