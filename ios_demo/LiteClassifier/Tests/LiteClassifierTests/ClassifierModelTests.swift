import Foundation
import Testing

@testable import LiteClassifier

@MainActor @Suite struct ClassifierModelTests {
  private func state(_ folder: ModelFolder, threads: Int = 1) -> ClassifierModel {
    ClassifierModel(
      folder: folder.url, runtime: FakeRuntime.self, threads: threads, app: "tests 1")
  }

  private func photo() throws -> Photo {
    let bytes = (0..<5 * 4 * 3).map { UInt8($0) }
    return Photo(try #require(RGBImage(width: 5, height: 4, bytes: bytes)))
  }

  @Test func withoutModelsItSaysSo() async throws {
    let model = state(try ModelFolder(["readme.txt": "nothing here"]))
    await model.start()
    #expect(model.first.phase == .empty)
    #expect(model.hasLooked && model.files.isEmpty)
    await model.benchmark()
    guard case .failed = model.timing else {
      Issue.record("timing nothing must fail, got \(model.timing)")
      return
    }
  }

  @Test func aFolderThatIsNotThereIsNoModels() async throws {
    let model = ClassifierModel(
      folder: URL(fileURLWithPath: "/nowhere/at/all"), runtime: FakeRuntime.self, threads: 1,
      app: "tests 1")
    await model.start()
    #expect(model.first.phase == .empty)
  }

  @Test func theFirstModelIsCheckedAndRunsOnThePhoto() async throws {
    let folder = try ModelFolder([
      "b.ptl": "metadata golden wrong", "a.ptl": "metadata golden right",
    ])
    let model = state(folder)
    await model.start()
    #expect(model.files.map(\.lastPathComponent) == ["a.ptl", "b.ptl"])
    #expect(model.first.phase == .ready)
    guard case .checked(let verdict) = model.first.badge else {
      Issue.record("a badge expected, got \(model.first.badge)")
      return
    }
    #expect(verdict.passes)
    await model.run(try photo())
    guard case .finished(let result) = model.first.phase else {
      Issue.record("a result expected, got \(model.first.phase)")
      return
    }
    #expect(try classes(result).count == 5)
  }

  @Test func anotherVariantRunsOnTheSamePhoto() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata golden wrong",
    ])
    let model = state(folder)
    await model.start()
    await model.run(try photo())
    let before = model.first.phase
    await model.select(folder.file("b.ptl"))
    guard case .finished(let result) = model.first.phase else {
      Issue.record("a result expected, got \(model.first.phase)")
      return
    }
    #expect(try classes(result).first?.id == 0, "the wrong model adds one to class 0")
    guard case .checked(let verdict) = model.first.badge else {
      Issue.record("a badge expected, got \(model.first.badge)")
      return
    }
    #expect(!verdict.passes)
    await model.select(folder.file("a.ptl"))
    guard case .finished(let again) = model.first.phase, case .finished(let first) = before else {
      Issue.record("a result expected, got \(model.first.phase)")
      return
    }
    #expect(again.content == first.content)
  }

  @Test func errorsAreSentencesAndTheNextChoiceRecovers() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata_newer_major golden right", "b.ptl": "metadata golden throws",
      "c.ptl": "metadata golden right", "d.ptl": "metadata golden wide",
    ])
    let model = state(folder)
    await model.start()
    #expect(
      model.first.phase
        == .failed(
          "a.ptl has schema version 3.0, and this app reads 2.x. Update the app."))
    #expect(model.first.badge == .none)
    await model.run(try photo())
    await model.select(folder.file("b.ptl"))
    let check = "Check it on a computer with `python -m runtime_check FILE --run-on arm64-2.1.0`."
    guard case .checked(let verdict) = model.first.badge else {
      Issue.record("a badge expected, got \(model.first.badge)")
      return
    }
    #expect((verdict.passes, verdict.passed) == (false, 0))
    #expect(
      model.first.phase
        == .failed("b.ptl loaded but did not run: the image must have three channels. \(check)"))
    await model.select(folder.file("d.ptl"))
    #expect(
      model.first.phase
        == .failed(
          "d.ptl loaded but did not run: output logits is float32 6, and not float32 5. \(check)"))
    await model.select(folder.file("c.ptl"))
    guard case .finished = model.first.phase else {
      Issue.record("a result expected, got \(model.first.phase)")
      return
    }
    model.report(VisionError.photoUnreadable(why: "it cannot be decoded"))
    #expect(
      model.first.phase
        == .failed(
          "This photo cannot be read: it cannot be decoded. Try another, JPEG, PNG or WebP."))
  }

  @Test func aNewerChoiceOvertakesASlowOne() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden slow", "b.ptl": "metadata golden right",
    ])
    let model = state(folder)
    async let slow: Void = model.select(folder.file("a.ptl"))
    while model.first.selected == nil { await Task.yield() }
    await model.select(folder.file("b.ptl"))
    await slow
    #expect(model.first.selected == folder.file("b.ptl"))
    #expect(model.first.model?.file == folder.file("b.ptl"))
    #expect(model.first.phase == .ready)
  }

  @Test func aModelOfTensorsWaitsAndSaysWhyItTakesNoPhoto() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata_tensor golden right",
    ])
    let model = state(folder)
    #expect(model.first.photoRefusal == nil)
    await model.start()
    #expect(model.first.photoRefusal == nil)
    await model.run(try photo())
    await model.select(folder.file("b.ptl"))
    #expect(model.first.phase == .ready, "the photo waits for another model")
    #expect(try #require(model.first.photoRefusal).hasPrefix("b.ptl takes tensors, not photos"))
  }

  @Test func anEmbeddingIsComparedWithThePreviousPhotos() async throws {
    let output = described("out", [5], ["features"], "embedding")
    let folder = try ModelFolder(
      ["a.ptl": "own golden right", "b.ptl": "own golden right"],
      records: ["own": record("image-feature-extraction", [output])])
    let model = state(folder)
    func similarity() throws -> Double? {
      guard case .finished(let result) = model.first.phase,
        case .embedding(let embedding) = result.content
      else { throw NothingThrown() }
      return embedding.similarity
    }
    await model.start()
    await model.run(try photo())
    #expect(try similarity() == nil, "there is no other photo yet")
    await model.run(try photo())
    #expect(abs(try #require(try similarity()) - 1) < 1e-12)
    // The bytes 1, 0, 0 ... belong to the first class, so the vector is (1, 0, 0, 0, 0).
    var bytes = [UInt8](repeating: 0, count: 12)
    bytes[0] = 1
    let dark = try #require(RGBImage(width: 2, height: 2, bytes: bytes))
    await model.run(Photo(dark))
    let sums = (0..<5).map { first in
      stride(from: first, to: 60, by: 5).reduce(0.0) { $0 + Double($1) }
    }
    let length = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(abs(try #require(try similarity()) - sums[0] / length) < 1e-6)
    await model.runLive(dark)
    guard case .embedding(let live)? = model.live?.result.content else {
      Issue.record("an embedding expected")
      return
    }
    #expect(live.similarity == 1, "a frame is compared with the photo")
    await model.select(folder.file("b.ptl"))
    #expect(try similarity() == nil, "another model's numbers mean something else")
  }

  @Test func liveFramesNeedAModelAndAreForgotten() async throws {
    let folder = try ModelFolder(["a.ptl": "metadata golden right"])
    let model = state(folder)
    let frame = try #require(RGBImage(width: 2, height: 2, bytes: .init(repeating: 3, count: 12)))
    await model.runLive(frame)
    #expect(model.live == nil)
    await model.start()
    await model.runLive(frame)
    let live = try #require(model.live)
    #expect(try classes(live.result).count == 5)
    #expect(live.frame == frame)
    #expect(model.first.phase == .ready, "live frames leave the photo's state alone")
    model.stopLive()
    #expect(model.live == nil)
  }

  @Test func aFrameThatTheModelRefusesIsExplained() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata golden wide",
    ])
    let model = state(folder)
    await model.start()
    let frame = try #require(RGBImage(width: 2, height: 2, bytes: .init(repeating: 3, count: 12)))
    await model.runLive(frame)
    #expect(model.live != nil && model.liveFailure == nil)
    let thin = try #require(RGBImage(width: 1, height: 90, bytes: .init(repeating: 3, count: 270)))
    await model.runLive(thin)
    #expect(model.live == nil, "what was seen before is not of this frame")
    #expect(model.liveFailure?.contains("Crop it.") == true)
    await model.runLive(frame)
    #expect(model.live != nil && model.liveFailure == nil)
    await model.select(folder.file("b.ptl"))
    await model.runLive(frame)
    #expect(model.liveFailure?.contains("b.ptl") == true)
    model.stopLive()
    #expect(model.liveFailure == nil)
  }

  @Test func aSecondStartKeepsTheModelThatWasChosen() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata golden right",
    ])
    let model = state(folder)
    await model.start()
    await model.select(folder.file("b.ptl"))
    await model.start()
    #expect(model.first.selected == folder.file("b.ptl"))
  }

  @Test func aFileFromElsewhereIsCopiedAndBecomesAVariant() async throws {
    let folder = try ModelFolder(["a.ptl": "metadata golden right"])
    let elsewhere = try ModelFolder(["from-mail.ptl": "metadata golden right"])
    let model = state(folder)
    await model.start()
    for behavior in ["right", "wrong"] {
      try Data("metadata golden \(behavior)".utf8).write(to: elsewhere.file("from-mail.ptl"))
      await model.open(elsewhere.file("from-mail.ptl"))
      #expect(model.files.map(\.lastPathComponent) == ["a.ptl", "from-mail.ptl"])
      #expect(model.first.selected == model.files.last)
      #expect(model.first.selected != elsewhere.file("from-mail.ptl"))
      #expect(model.files.map(model.title) == ["a.ptl", "from-mail.ptl"])
      guard case .checked(let verdict) = model.first.badge else {
        Issue.record("a verdict expected, got \(model.first.badge)")
        return
      }
      #expect(verdict.passes == (behavior == "right"), "the copy of before is not judged again")
    }
    await model.open(elsewhere.file("holiday.mov"))
    #expect(
      model.first.phase == .failed("holiday.mov is no model file: those end in .ptl or .pte."))
    await model.open(elsewhere.file("gone.pte"))
    guard case .failed(let sentence) = model.first.phase else {
      Issue.record("a sentence expected, got \(model.first.phase)")
      return
    }
    #expect(sentence.hasPrefix("gone.pte does not load: "))
    #expect(model.first.model?.fileName == "from-mail.ptl", "the open model stays")
  }

  @Test func aCanceledBenchmarkLeavesWhatWasThere() async throws {
    let folder = try ModelFolder(["a.ptl": "metadata golden slow", "b.ptl": "metadata golden slow"])
    let model = state(folder)
    await model.start()
    await model.run(try photo())
    let before = model.first.phase
    let timing = Task { await model.benchmark() }
    while !model.isTiming { await Task.yield() }
    #expect(model.first.phase == before)
    model.cancelBenchmark()
    #expect(model.timing == .canceling)
    await timing.value
    #expect(model.timing == .none)
    #expect(model.first.phase == before)
    #expect(model.first.model != nil, "open again")
    model.cancelBenchmark()
    #expect(model.timing == .none)
  }

  @Test func aBenchmarkClosesTheModelsAndKeepsTheResult() async throws {
    let folder = try ModelFolder(["a.ptl": "metadata golden right"])
    let model = state(folder)
    await model.start()
    await model.compare(with: folder.file("a.ptl"))
    await model.run(try photo())
    let (before, beside) = (model.first.phase, model.second.phase)
    let opened = try #require(model.first.model)
    await model.benchmark(BenchmarkPlan(threads: [1, 2]))
    guard case .finished(let benchmark) = model.timing else {
      Issue.record("a benchmark expected, got \(model.timing)")
      return
    }
    #expect(benchmark.devices.first?.runs.map(\.threads) == [1, 2])
    #expect((model.first.phase, model.second.phase) == (before, beside))
    #expect(
      try await caught(VisionError.self) { try await opened.verify() } == .closed(file: "a.ptl"))
    #expect(model.first.model != nil && model.second.model != nil)
  }

  @Test func twoModelsRunOnOnePhoto() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata golden wrong",
    ])
    let model = state(folder)
    await model.start()
    await model.run(try photo())
    await model.compare(with: folder.file("b.ptl"))
    guard case .finished(let one) = model.first.phase,
      case .finished(let other) = model.second.phase
    else {
      Issue.record("two results expected, got \(model.first.phase), \(model.second.phase)")
      return
    }
    #expect(try classes(one).first?.id != 0)
    #expect(try classes(other).first?.id == 0, "the wrong model adds one to class 0")
    await model.run(try photo())
    #expect(model.second.phase != .running)
    let beside = try #require(model.second.model)
    await model.compare(with: nil)
    #expect((model.second.phase, model.second.badge) == (.empty, .none))
    #expect(
      try await caught(VisionError.self) { try await beside.verify() } == .closed(file: "b.ptl"))
    guard case .finished = model.first.phase else {
      Issue.record("the first stays, got \(model.first.phase)")
      return
    }
  }

  @Test func theBenchmarkTimesEveryModelAndSaysWhatItSkipped() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata_truncated golden right",
    ])
    let model = state(folder)
    await model.start()
    await model.benchmark(BenchmarkPlan(threads: [3]))
    guard case .finished(let benchmark) = model.timing else {
      Issue.record("a benchmark expected, got \(model.timing)")
      return
    }
    let device = try #require(benchmark.devices.first)
    #expect(device.runs.map(\.label) == ["a.ptl, 3 threads"])
    #expect(device.skipped.map(\.label) == ["b.ptl"])
    #expect(device.device.cores > 0)
    #expect(device.device.app == "tests 1")
    #expect(!device.interleaved)
  }
}
