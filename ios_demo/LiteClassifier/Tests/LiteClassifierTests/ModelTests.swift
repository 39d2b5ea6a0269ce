import Foundation
import Testing

@testable import LiteClassifier

/// The classes of a result, which must have some.
func classes(_ result: RunResult) throws -> [Prediction] {
  guard case .classes(let predictions) = result.presentation else { throw NothingThrown() }
  return predictions
}

@Suite struct LoadedModelTests {
  @Test(arguments: [
    ("- golden right", "metadata.json"), ("metadata_newer_major golden right", "3.0"),
    ("metadata_truncated golden right", "metadata.json"), ("a zip", "not a zip archive"),
  ])
  func filesThatAreNotOursAreExplained(content: String, mentioned: String) throws {
    let folder = try ModelFolder(["x.ptl": content])
    let error = try caught(ModelError.self) {
      try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    }
    #expect(error.localizedDescription.contains("x.ptl"))
    #expect(error.localizedDescription.contains(mentioned))
  }

  @Test func whatTorchAppendsForItsDevelopersIsLeftOut() {
    let told = "bad shape\n  \n  Debug info for handle(s): debug_handles:{-1}, was not found.\n"
    #expect(readable(FakeRuntime.Failure(errorDescription: told)) == "bad shape")
    let long = String(repeating: "a", count: 500)
    #expect(readable(FakeRuntime.Failure(errorDescription: long)).count == 402)
  }

  @Test func aMissingFileIsExplained() throws {
    let folder = try ModelFolder([:])
    let error = try caught(ModelError.self) {
      try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    }
    #expect(error.localizedDescription.contains("there is no such file"))
  }

  @Test func aMissingGoldenRecordIsExplained() throws {
    let folder = try ModelFolder(["x.ptl": "metadata - right"])
    let model = try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let error = try caught(ModelError.self) { try model.check() }
    #expect(error.localizedDescription.contains("golden.json"))
  }

  @Test func photosAreDecodedAsThePlanSays() throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let model = try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    // The network sees 4 / 0.875 = 5 pixels, so 10 should remain of 45.
    let photo = Photo(width: 60, height: 45) { sample in
      #expect(sample == 4)
      let bytes = [UInt8](repeating: 9, count: 15 * 11 * 3)
      return try #require(RGBImage(width: 15, height: 11, bytes: bytes))
    }
    let result = try model.run(photo)
    #expect(result.width == 15)
    #expect(result.height == 11)
    #expect(result.outputs.map(\.spec.name) == ["logits"])
    #expect(try classes(result).count == 5)
    #expect(result.milliseconds > 0)
    #expect(try #require(result.memoryMegabytes) > 1)
  }

  @Test(arguments: [(1, 1, "at least 2"), (100, 10, "more than 8 times")])
  func photosOutsideTheBoundsAreExplained(width: Int, height: Int, mentioned: String) throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let model = try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let photo = Photo(width: width, height: height) { _ in
      throw ModelError.input(why: "must not be decoded")
    }
    let error = try caught(ModelError.self) { try model.run(photo) }
    #expect(error.localizedDescription.contains(mentioned))
    #expect(error.localizedDescription.contains("\(width) × \(height)"))
  }

  @Test func outputsThatTheMetadataDoesNotDescribeAreExplained() throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden two"])
    let model = try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let image = try #require(RGBImage(width: 2, height: 2, bytes: .init(repeating: 9, count: 12)))
    let error = try caught(ModelError.self) { try model.run(Photo(image)) }
    #expect(
      error.localizedDescription
        == "x.ptl could not be run: 2 outputs came, and field output.tensors describes 1.")
  }

  @Test func aShapeThatVariesMayDifferButNotItsRank() throws {
    for (shape, fits) in [([2], true), ([1, 5], false)] {
      var output = described(
        "out", shape, shape.map { _ in "features" }, "embedding")
      output["varies"] = true
      let folder = try ModelFolder(
        ["x.ptl": "own golden right"],
        records: ["own": record("image-feature-extraction", [output])])
      let model = try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
      let image = try #require(RGBImage(width: 2, height: 2, bytes: .init(repeating: 9, count: 12)))
      let result = try? model.run(Photo(image))
      #expect((result != nil) == fits)
    }
  }

  @Test func theBadgeHasTop1OnlyForClasses() throws {
    let folder = try ModelFolder(
      ["a.ptl": "metadata golden right", "b.ptl": "own golden right"],
      records: ["own": record(nil, [described("out", [5], ["features"], "values")])])
    let classifier = try LoadedModel(folder.file("a.ptl"), runtime: FakeRuntime.self).check()
    let other = try LoadedModel(folder.file("b.ptl"), runtime: FakeRuntime.self).check()
    #expect(classifier.passes && other.passes)
    #expect(classifier.top1 == 1)
    #expect(classifier.sentence.contains("top-1 agreement 100.0%"))
    #expect(other.top1 == nil)
    #expect(other.sentence.hasSuffix("golden vectors, max|d| 0.0e+00."))
  }

  @Test func aTensorModelSaysWhatItIs() throws {
    let folder = try ModelFolder(["x.ptl": "metadata_tensor golden right"])
    let model = try LoadedModel(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let image = try #require(RGBImage(width: 1, height: 1, bytes: [1, 2, 3]))
    let error = try caught(ModelError.self) { try model.run(Photo(image)) }
    #expect(error.localizedDescription.contains("--input tensor"))
    #expect(error.localizedDescription.contains("pixels: float32 1 × 3 × 4 × 4, age: int64 1 × 2"))
    #expect(model.photoRefusal == error.localizedDescription)
  }
}

@Suite struct BenchmarkTests {
  @Test func theSharedFileIsReadAndWrittenTheSame() throws {
    let shared = try Fixtures.data("benchmark_ios.json")
    let benchmark = try JSONDecoder().decode(Benchmark.self, from: shared)
    let run = try #require(benchmark.devices.first?.runs.first)
    #expect(benchmark.devices.first?.device.platform == .ios)
    #expect(run.samplesMs == [2.5, 2.25, 3.0])
    #expect(run.medianMs == 2.5)
    // Equal as JSON: same keys, same values, nothing more.
    let ours = try JSONSerialization.jsonObject(with: benchmark.json()) as? NSDictionary
    let theirs = try JSONSerialization.jsonObject(with: shared) as? NSDictionary
    #expect(ours == theirs)
  }

  @Test func aRunHoldsWhatWasMeasured() throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let run = try LoadedModel.benchmark(
      folder.file("x.ptl"), runtime: FakeRuntime.self, plan: BenchmarkPlan(threads: 2),
      sha256: "abc")
    #expect(run.label == "x.ptl, 2 threads")
    #expect(run.samplesMs.count == 30)
    #expect(run.samplesMs.allSatisfy { $0 > 0 })
    #expect(run.inputShape == [4, 6, 3])
    #expect(run.model == "tiny")
    #expect(run.quantization == "none")
    #expect(run.runtime == "lite interpreter 0.0.0-fake")
    #expect(run.sha256 == "abc")
    #expect(try #require(run.sizeMb) == 21e-6)
    #expect(try #require(run.peakMb) >= 0)
  }
}

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
    #expect(model.phase == .noModels)
    await model.benchmark()
    guard case .failed = model.phase else {
      Issue.record("timing nothing must fail, got \(model.phase)")
      return
    }
  }

  @Test func aFolderThatIsNotThereIsNoModels() async throws {
    let model = ClassifierModel(
      folder: URL(fileURLWithPath: "/nowhere/at/all"), runtime: FakeRuntime.self, threads: 1,
      app: "tests 1")
    await model.start()
    #expect(model.phase == .noModels)
  }

  @Test func theFirstModelIsCheckedAndRunsOnThePhoto() async throws {
    let folder = try ModelFolder([
      "b.ptl": "metadata golden wrong", "a.ptl": "metadata golden right",
    ])
    let model = state(folder)
    await model.start()
    #expect(model.files.map(\.lastPathComponent) == ["a.ptl", "b.ptl"])
    #expect(model.phase == .ready)
    guard case .checked(let verdict) = model.badge else {
      Issue.record("a badge expected, got \(model.badge)")
      return
    }
    #expect(verdict.passes)
    await model.run(try photo())
    guard case .finished(let result) = model.phase else {
      Issue.record("a result expected, got \(model.phase)")
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
    let before = model.phase
    await model.select(folder.file("b.ptl"))
    guard case .finished(let result) = model.phase else {
      Issue.record("a result expected, got \(model.phase)")
      return
    }
    #expect(try classes(result).first?.id == 0, "the wrong model adds one to class 0")
    guard case .checked(let verdict) = model.badge else {
      Issue.record("a badge expected, got \(model.badge)")
      return
    }
    #expect(!verdict.passes)
    await model.select(folder.file("a.ptl"))
    guard case .finished(let again) = model.phase, case .finished(let first) = before else {
      Issue.record("a result expected, got \(model.phase)")
      return
    }
    #expect(again.presentation == first.presentation)
  }

  @Test func errorsAreSentencesAndTheNextChoiceRecovers() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata_newer_major golden right", "b.ptl": "metadata golden throws",
      "c.ptl": "metadata golden right", "d.ptl": "metadata golden wide",
    ])
    let model = state(folder)
    await model.start()
    #expect(
      model.phase
        == .failed(
          "a.ptl: metadata.json has schema version 3.0, and this app reads 2.x. Update the app."))
    #expect(model.badge == .none)
    await model.run(try photo())
    await model.select(folder.file("b.ptl"))
    let refused = "b.ptl could not be run: the image must have three channels"
    #expect(model.badge == .failed(refused))
    #expect(model.phase == .failed(refused))
    await model.select(folder.file("d.ptl"))
    #expect(
      model.phase
        == .failed(
          "d.ptl could not be run: field output.tensors.0 (logits): float32 of shape [6] came, and it "
            + "says float32 of [5]."))
    await model.select(folder.file("c.ptl"))
    guard case .finished = model.phase else {
      Issue.record("a result expected, got \(model.phase)")
      return
    }
    model.report(ModelError.input(why: "This picture cannot be decoded."))
    #expect(model.phase == .failed("This picture cannot be decoded."))
  }

  @Test func aNewerChoiceOvertakesASlowOne() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden slow", "b.ptl": "metadata golden right",
    ])
    let model = state(folder)
    async let slow: Void = model.select(folder.file("a.ptl"))
    while model.selected == nil { await Task.yield() }
    await model.select(folder.file("b.ptl"))
    await slow
    #expect(model.selected == folder.file("b.ptl"))
    #expect(model.model?.file == folder.file("b.ptl"))
    #expect(model.phase == .ready)
  }

  @Test func aModelOfTensorsWaitsAndSaysWhyItTakesNoPhoto() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata_tensor golden right",
    ])
    let model = state(folder)
    #expect(model.photoRefusal == nil)
    await model.start()
    #expect(model.photoRefusal == nil)
    await model.run(try photo())
    await model.select(folder.file("b.ptl"))
    #expect(model.phase == .ready, "the photo waits for another model")
    #expect(try #require(model.photoRefusal).hasPrefix("b.ptl takes tensors, not photos"))
  }

  @Test func anEmbeddingIsComparedWithThePreviousPhotos() async throws {
    let output = described("out", [5], ["features"], "embedding")
    let folder = try ModelFolder(
      ["a.ptl": "own golden right", "b.ptl": "own golden right"],
      records: ["own": record("image-feature-extraction", [output])])
    let model = state(folder)
    func similarity() throws -> Double? {
      guard case .finished(let result) = model.phase,
        case .embedding(let embedding) = result.presentation
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
    guard case .embedding(let live)? = model.live?.result.presentation else {
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
    #expect(model.phase == .ready, "live frames leave the photo's state alone")
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
    #expect(model.liveFailure?.contains("Crop it first.") == true)
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
    #expect(model.selected == folder.file("b.ptl"))
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
      #expect(model.selected == model.files.last)
      #expect(model.selected != elsewhere.file("from-mail.ptl"))
      guard case .checked(let verdict) = model.badge else {
        Issue.record("a verdict expected, got \(model.badge)")
        return
      }
      #expect(verdict.passes == (behavior == "right"), "the copy of before is not judged again")
    }
    await model.open(elsewhere.file("holiday.mov"))
    #expect(
      model.phase == .failed("holiday.mov is no model file: those end in .ptl or .pte."))
    await model.open(elsewhere.file("gone.pte"))
    guard case .failed(let sentence) = model.phase else {
      Issue.record("a sentence expected, got \(model.phase)")
      return
    }
    #expect(sentence.hasPrefix("gone.pte could not be opened"))
    #expect(model.model?.fileName == "from-mail.ptl", "the open model stays")
  }

  @Test func aCanceledBenchmarkLeavesWhatWasThere() async throws {
    let folder = try ModelFolder(["a.ptl": "metadata golden slow", "b.ptl": "metadata golden slow"])
    let model = state(folder)
    await model.start()
    await model.run(try photo())
    let before = model.phase
    let timing = Task { await model.benchmark() }
    while model.phase == before { await Task.yield() }
    guard case .benchmarking = model.phase else {
      Issue.record("a benchmark expected, got \(model.phase)")
      return
    }
    model.cancelBenchmark()
    #expect(model.phase == before)
    await timing.value
    #expect(model.phase == before, "the file in hand ends unseen")
    model.cancelBenchmark()
    #expect(model.phase == before)
  }

  @Test func theBenchmarkTimesEveryModelAndSaysWhatItSkipped() async throws {
    let folder = try ModelFolder([
      "a.ptl": "metadata golden right", "b.ptl": "metadata_truncated golden right",
    ])
    let model = state(folder, threads: 3)
    await model.start()
    await model.benchmark()
    guard case .benchmarked(let benchmark) = model.phase else {
      Issue.record("a benchmark expected, got \(model.phase)")
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
