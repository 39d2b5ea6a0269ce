import Foundation
import LiteClassifier
import TestCryptography
import Testing

@testable import LiteRuntime

/// Real files through the C++ core, as the app runs them: `.ptl` on torch, `.pte` on ExecuTorch, by
/// what this was built against. `LITE_MODELS` names a folder of them, or several separated by colons; `LITE_PHOTO` a photo as width, height and RGB bytes.
enum Setup {
  static let environment = ProcessInfo.processInfo.environment

  /// The files to run; a folder that cannot be read throws, else its files would go untested.
  static func models() throws -> [URL] {
    try (environment["LITE_MODELS"] ?? "").split(separator: ":")
      .map { URL(fileURLWithPath: String($0), isDirectory: true) }
      .flatMap {
        try FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil)
      }
      .filter { $0.pathExtension == LiteFile.runs.rawValue }
      .sorted { $0.path < $1.path }
  }

  static let trust = Trust(publicKey: "", cryptography: cryptography)

  /// A photo written by the test that starts this: two little-endian 32-bit sides, then RGB.
  static func photo() throws -> Photo {
    let path = try #require(environment["LITE_PHOTO"])
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let sides = data.prefix(8).withUnsafeBytes { raw in
      [0, 4].map { Int(raw.loadUnaligned(fromByteOffset: $0, as: UInt32.self)) }
    }
    let image = RGBImage(width: sides[0], height: sides[1], bytes: [UInt8](data.dropFirst(8)))
    return Photo(try #require(image))
  }
}

@Suite(.serialized) struct EndToEndTests {
  @Test func thereAreModels() throws {
    #expect(try !Setup.models().isEmpty, "set LITE_MODELS to a folder with model files")
  }

  @Test(arguments: try Setup.models())
  func goldenVectorsPass(file: URL) async throws {
    let model = try await VisionModel.open(file, trust: Setup.trust)
    let verdict = try await model.verify()
    #expect(verdict.passes, "\(file.lastPathComponent): \(verdict.sentence)")
    print("golden \(file.lastPathComponent) on \(LiteFile.version): \(verdict.sentence)")
  }

  @Test(arguments: try Setup.models())
  func aPhotoIsClassified(file: URL) async throws {
    let model = try await VisionModel.open(file, trust: Setup.trust)
    let result = try await model.run(Setup.photo())
    #expect(result.outputs.map(\.spec) == model.metadata.output.tensors)
    let predictions = try classes(result)
    #expect(predictions.count == 5)
    let total = predictions.map(\.score).reduce(0, +)
    #expect(total > 0 && total <= 1.0001)
    let best = try #require(predictions.first)
    print("top-1 \(file.lastPathComponent): \(best.id) \(best.score) \(best.label)")
  }

  @MainActor @Test func theViewModelSwitchesVariantsOnOnePhotoAndTimesThem() async throws {
    let folder = try #require(Setup.models().first).deletingLastPathComponent()
    let state = ClassifierModel(
      folder: folder, runtime: LiteFile.self, trust: Setup.trust, threads: 1, app: "swift test")
    await state.start()
    await state.run(try Setup.photo())
    for file in state.files {
      await state.select(file)
      guard case .finished(let result) = state.first.phase else {
        Issue.record("\(file.lastPathComponent): \(state.first.phase)")
        continue
      }
      #expect(try classes(result).count == 5)
      guard case .checked(let verdict) = state.first.badge else {
        Issue.record("\(file.lastPathComponent): \(state.first.badge)")
        continue
      }
      #expect(verdict.passes)
    }
    await state.benchmark(BenchmarkPlan(threads: [1, 2]))
    guard case .finished(let benchmark) = state.timing else {
      Issue.record("no benchmark: \(state.timing)")
      return
    }
    #expect(benchmark.devices.first?.runs.count == 2 * state.files.count)
    if let path = Setup.environment["LITE_BENCHMARK"] {
      try benchmark.json().write(to: URL(fileURLWithPath: path))
    }
  }

  @Test func aDamagedFileIsASentence() async throws {
    let file = try #require(Setup.models().first)
    let whole = try Data(contentsOf: file)
    let name = "broken.\(LiteFile.runs.rawValue)"
    let broken = FileManager.default.temporaryDirectory.appendingPathComponent(name)
    defer { try? FileManager.default.removeItem(at: broken) }
    for content in [Data(), Data("no zip at all".utf8), whole.prefix(whole.count / 2)] {
      try content.write(to: broken)
      let error = try await caught(VisionError.self) {
        try await VisionModel.open(broken, trust: Setup.trust)
      }
      let said = LiteFile.runs == .lite ? "does not load: " : "is damaged or was not made by "
      #expect(error.localizedDescription.hasPrefix("\(name) \(said)"))
    }
    await #expect(throws: VisionError.self) {
      try await VisionModel.open(broken.appendingPathExtension("no"))
    }
  }

  @Test func wrongInputsAreSentences() async throws {
    let model = try LiteFile(path: try #require(Setup.models().first).path)
    #expect(try model.extra("no-such-record") == nil)
    let gray = try #require(
      Tensor(dtype: .uint8, shape: [4, 4], bytes: .init(repeating: 0, count: 16)))
    for inputs in [[], [gray], [gray, gray]] {
      let error = try await caught(LiteError.self) { try model.forward(inputs) }
      #expect(!error.localizedDescription.isEmpty)
      print("refused \(inputs.count): \(error.localizedDescription)")
    }
    #expect(throws: LiteError.self) { try LiteFile.setThreads(0) }
  }

  @Test func manyTasksShareAModel() async throws {
    let file = try #require(Setup.models().first)
    let model = try await VisionModel.open(file, trust: Setup.trust)
    let photo = try Setup.photo()
    let expected = try await model.run(photo).outputs
    try await withThrowingTaskGroup(of: [NamedOutput].self) { group in
      for _ in 0..<8 { group.addTask { try await model.run(photo).outputs } }
      for try await outputs in group { #expect(outputs == expected) }
    }
  }
}

/// `LITE_EVERY_DTYPE` names a file that returns its six inputs, one of each type, as a list.
@Suite(.enabled(if: LiteFile.runs == .lite)) struct TensorTests {
  @Test func everyTypeGoesInAndAListComesOut() throws {
    let path = try #require(Setup.environment["LITE_EVERY_DTYPE"])
    let file = try LiteFile(path: path)
    let inputs = try DType.allCases.map { dtype in
      // Two by three; each byte is 0 or 1, which is a number of every type, and true or false.
      let bytes = (0..<6 * dtype.size).map { UInt8($0 % 3 == 0 ? 1 : 0) }
      return try #require(Tensor(dtype: dtype, shape: [2, 3], bytes: bytes))
    }
    #expect(inputs.count == 6)
    #expect(try file.forward(inputs) == inputs)
    #expect(throws: LiteError.self) { try file.forward(inputs.reversed()) }
  }
}

/// `LITE_TASKS` names a folder with a file of every task, each named like what it is shown as.
@Suite(.enabled(if: LiteFile.runs == .lite)) struct TaskTests {
  static func files() throws -> [URL] {
    guard LiteFile.runs == .lite else { return [] }
    let folder = URL(fileURLWithPath: Setup.environment["LITE_TASKS"] ?? "/nowhere")
    return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "ptl" }
  }

  @Test(arguments: try files())
  func aFileIsShownAsItsTaskHasIt(file: URL) async throws {
    let model = try await VisionModel.open(file, trust: Setup.trust)
    let name = file.deletingPathExtension().lastPathComponent
    let verdict = try await model.verify()
    #expect(verdict.passes, "\(name): \(verdict.sentence)")
    #expect((verdict.top1 != nil) == (name == "classes"))
    if let refusal = model.photoRefusal {
      print("shown \(name) as \(name): \(refusal.localizedDescription)")
      return
    }
    let result = try await model.run(Setup.photo())
    #expect(result.outputs.map(\.spec) == model.metadata.output.tensors)
    print("shown \(name) as \(kind(result.content)): \(result.content.summary)")
  }

  private func kind(_ content: VisionContent) -> String {
    switch content {
    case .classes: "classes"
    case .classMap: "class_map"
    case .depth: "depth"
    case .boxes: "boxes"
    case .embedding: "embedding"
    case .numbers: "numbers"
    case .keyPoints: "key_points"
    case .picture: "picture"
    case .tensors: "tensors"
    }
  }
}

/// The classes of a result, which must have some.
func classes(_ result: VisionResult) throws -> [Prediction] {
  guard case .classes(let predictions) = result.content else { throw NothingThrown() }
  return predictions
}

/// Run `body`, which must throw an error of this type, and return the error.
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
