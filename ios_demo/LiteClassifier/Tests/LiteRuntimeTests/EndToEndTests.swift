import Foundation
import LiteClassifier
import Testing

@testable import LiteRuntime

/// Real files through the C++ core, as the app runs them. `LITE_MODELS` names a folder of `.ptl`
/// files, or several separated by colons; `LITE_PHOTO` a photo as width, height and RGB bytes.
enum Setup {
  static let environment = ProcessInfo.processInfo.environment

  /// The files to run; a folder that cannot be read throws, else its files would go untested.
  static func models() throws -> [URL] {
    try (environment["LITE_MODELS"] ?? "").split(separator: ":")
      .map { URL(fileURLWithPath: String($0), isDirectory: true) }
      .flatMap {
        try FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil)
      }
      .filter { $0.pathExtension == "ptl" }
      .sorted { $0.path < $1.path }
  }

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
    #expect(try !Setup.models().isEmpty, "set LITE_MODELS to a folder with .ptl files")
  }

  @Test(arguments: try Setup.models())
  func goldenVectorsPass(file: URL) throws {
    let model = try LoadedModel(file, runtime: LiteFile.self)
    let verdict = try model.check()
    #expect(verdict.passes, "\(file.lastPathComponent): \(verdict.sentence)")
    print("golden \(file.lastPathComponent) on \(LiteFile.version): \(verdict.sentence)")
  }

  @Test(arguments: try Setup.models())
  func aPhotoIsClassified(file: URL) throws {
    let model = try LoadedModel(file, runtime: LiteFile.self)
    let result = try model.classify(Setup.photo())
    #expect(result.predictions.count == 5)
    let total = result.predictions.map(\.score).reduce(0, +)
    #expect(total > 0 && total <= 1.0001)
    let best = try #require(result.predictions.first)
    print("top-1 \(file.lastPathComponent): \(best.id) \(best.score) \(best.label)")
  }

  @MainActor @Test func theViewModelSwitchesVariantsOnOnePhotoAndTimesThem() async throws {
    let folder = try #require(Setup.models().first).deletingLastPathComponent()
    let state = ClassifierModel(
      folder: folder, runtime: LiteFile.self, threads: 1, app: "swift test")
    await state.start()
    await state.classify(try Setup.photo())
    for file in state.files {
      await state.select(file)
      guard case .classified(let result) = state.phase else {
        Issue.record("\(file.lastPathComponent): \(state.phase)")
        continue
      }
      #expect(result.predictions.count == 5)
      guard case .checked(let verdict) = state.badge else {
        Issue.record("\(file.lastPathComponent): \(state.badge)")
        continue
      }
      #expect(verdict.passes)
    }
    await state.benchmark()
    guard case .benchmarked(let benchmark) = state.phase else {
      Issue.record("no benchmark: \(state.phase)")
      return
    }
    #expect(benchmark.devices.first?.runs.count == state.files.count)
    if let path = Setup.environment["LITE_BENCHMARK"] {
      try benchmark.json().write(to: URL(fileURLWithPath: path))
    }
  }

  @Test func aDamagedFileIsASentence() throws {
    let file = try #require(Setup.models().first)
    let whole = try Data(contentsOf: file)
    let broken = FileManager.default.temporaryDirectory.appendingPathComponent("broken.ptl")
    defer { try? FileManager.default.removeItem(at: broken) }
    for content in [Data(), Data("no zip at all".utf8), whole.prefix(whole.count / 2)] {
      try content.write(to: broken)
      let error = try caught(ModelError.self) {
        try LoadedModel(broken, runtime: LiteFile.self)
      }
      #expect(error.localizedDescription.hasPrefix("broken.ptl could not be opened: "))
    }
    #expect(throws: ModelError.self) {
      try LoadedModel(broken.appendingPathExtension("no"), runtime: LiteFile.self)
    }
  }

  @Test func wrongInputsAreSentences() throws {
    let model = try LiteFile(path: try #require(Setup.models().first).path)
    #expect(try model.extra("no-such-record") == nil)
    let gray = try #require(
      Tensor(dtype: .uint8, shape: [4, 4], bytes: .init(repeating: 0, count: 16)))
    for inputs in [[], [gray], [gray, gray]] {
      let error = try caught(LiteError.self) { try model.forward(inputs) }
      #expect(!error.localizedDescription.isEmpty)
      print("refused \(inputs.count): \(error.localizedDescription)")
    }
    #expect(throws: LiteError.self) { try LiteFile.setThreads(0) }
  }

  @Test func manyTasksShareAModel() async throws {
    let file = try #require(Setup.models().first)
    let model = try LoadedModel(file, runtime: LiteFile.self)
    let photo = try Setup.photo()
    let expected = try model.classify(photo).predictions
    try await withThrowingTaskGroup(of: [Prediction].self) { group in
      for _ in 0..<8 { group.addTask { try model.classify(photo).predictions } }
      for try await predictions in group { #expect(predictions == expected) }
    }
  }
}

/// Run `body`, which must throw an error of this type, and return the error.
func caught<Failure: Error, Result>(_ type: Failure.Type, _ body: () throws -> Result) throws
  -> Failure
{
  do {
    _ = try body()
  } catch let error as Failure {
    return error
  }
  throw NothingThrown()
}

private struct NothingThrown: Error {}
