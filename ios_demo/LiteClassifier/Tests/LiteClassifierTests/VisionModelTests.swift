import Foundation
import Testing

@testable import LiteClassifier

/// The classes of a result, which must have some.
func classes(_ result: VisionResult) throws -> [Prediction] {
  guard case .classes(let predictions) = result.content else { throw NothingThrown() }
  return predictions
}

@Suite struct VisionModelTests {
  @Test(arguments: [
    ("- golden right", "metadata.json"), ("metadata_newer_major golden right", "3.0"),
    ("metadata_truncated golden right", "metadata.json"), ("a zip", "not a zip archive"),
  ])
  func filesThatAreNotOursAreExplained(content: String, mentioned: String) async throws {
    let folder = try ModelFolder(["x.ptl": content])
    let error = try await caught(VisionError.self) {
      try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    }
    #expect(error.localizedDescription.contains("x.ptl"))
    #expect(error.localizedDescription.contains(mentioned))
  }

  @Test func whatTorchAppendsForItsDevelopersIsLeftOut() {
    let told = "bad shape\n  \n  Debug info for handle(s): debug_handles:{-1}, was not found.\n"
    #expect(readable(FakeRuntime.Failure(errorDescription: told)) == "bad shape")
    #expect(readable(FakeRuntime.Failure(errorDescription: "a sentence. ")) == "a sentence")
    let long = String(repeating: "a", count: 500)
    #expect(readable(FakeRuntime.Failure(errorDescription: long)).count == 402)
  }

  @Test func aMissingFileIsExplained() async throws {
    let folder = try ModelFolder([:])
    let error = try await caught(VisionError.self) {
      try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    }
    #expect(error.localizedDescription.contains("there is no such file"))
  }

  @Test func aMissingGoldenRecordIsExplained() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata - right"])
    let model = try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let error = try await caught(VisionError.self) { try await model.verify() }
    #expect(error.localizedDescription.contains("golden.json"))
  }

  @Test func photosAreDecodedAsThePlanSays() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let model = try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    // The network sees 4 / 0.875 = 5 pixels, so 10 should remain of 45.
    let photo = Photo(width: 60, height: 45) { sample in
      #expect(sample == 4)
      let bytes = [UInt8](repeating: 9, count: 15 * 11 * 3)
      return try #require(RGBImage(width: 15, height: 11, bytes: bytes))
    }
    let result = try await model.run(photo)
    #expect(result.width == 15)
    #expect(result.height == 11)
    #expect(result.outputs.map(\.spec.name) == ["logits"])
    #expect(try classes(result).count == 5)
    #expect(result.milliseconds > 0)
    #expect(try #require(result.memoryMegabytes) > 1)
  }

  @Test(arguments: [(1, 1, "at least 2"), (100, 10, "up to 8 times")])
  func photosOutsideTheBoundsAreExplained(width: Int, height: Int, mentioned: String) async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let model = try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let photo = Photo(width: width, height: height) { _ in
      throw VisionError.photoUnreadable(why: "must not be decoded")
    }
    let error = try await caught(VisionError.self) { try await model.run(photo) }
    #expect(error.localizedDescription.contains(mentioned))
    #expect(error.localizedDescription.contains("(\(width) x \(height))"))
  }

  @Test func outputsThatTheMetadataDoesNotDescribeAreExplained() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden two"])
    let model = try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let image = try #require(RGBImage(width: 2, height: 2, bytes: .init(repeating: 9, count: 12)))
    let error = try await caught(VisionError.self) { try await model.run(Photo(image)) }
    #expect(
      error.localizedDescription.hasPrefix(
        "x.ptl loaded but did not run: 2 outputs came, and the metadata states 1. "))
  }

  @Test func aShapeThatVariesMayDifferButNotItsRank() async throws {
    for (shape, fits) in [([2], true), ([1, 5], false)] {
      var output = described(
        "out", shape, shape.map { _ in "features" }, "embedding")
      output["varies"] = true
      let folder = try ModelFolder(
        ["x.ptl": "own golden right"],
        records: ["own": record("image-feature-extraction", [output])])
      let model = try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
      let image = try #require(RGBImage(width: 2, height: 2, bytes: .init(repeating: 9, count: 12)))
      let result = try? await model.run(Photo(image))
      #expect((result != nil) == fits)
    }
  }

  @Test func theBadgeHasTop1OnlyForClasses() async throws {
    let folder = try ModelFolder(
      ["a.ptl": "metadata golden right", "b.ptl": "own golden right"],
      records: ["own": record(nil, [described("out", [5], ["features"], "values")])])
    let classifier = try await opened(folder, "a.ptl").verify()
    let other = try await opened(folder, "b.ptl").verify()
    #expect(classifier.passes && other.passes)
    #expect(classifier.top1 == 1)
    #expect(classifier.sentence.contains("top-1 agreement 100 %"))
    #expect(other.top1 == nil)
    #expect(other.sentence.hasSuffix("max |d| 0.0e+00 (allowed 1.0e-05)."))
  }

  @Test func aTensorModelSaysWhatItIs() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata_tensor golden right"])
    let model = try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self)
    let image = try #require(RGBImage(width: 1, height: 1, bytes: [1, 2, 3]))
    let error = try await caught(VisionError.self) { try await model.run(Photo(image)) }
    #expect(error.localizedDescription.contains("--input tensor"))
    #expect(error.localizedDescription.contains("pixels: float32 1 x 3 x 4 x 4, age: int64 1 x 2"))
    #expect(model.photoRefusal == error)
    #expect(!model.takesPhotos)
  }

  private func opened(_ folder: ModelFolder, _ name: String = "x.ptl") async throws -> VisionModel {
    try await VisionModel.open(folder.file(name), runtime: FakeRuntime.self)
  }

  private func square(_ side: Int) throws -> RGBImage {
    try #require(
      RGBImage(width: side, height: side, bytes: .init(repeating: 9, count: side * side * 3)))
  }

  @Test func whatWasDecodedIsCheckedAsWell() async throws {
    let model = try await opened(ModelFolder(["x.ptl": "metadata golden right"]))
    // The model takes 2 to 64 pixels; what decodes does not heed the plan.
    for (side, kind) in [(1, "photo_too_small"), (65, "photo_too_large")] {
      let image = try square(side)
      let error = try await caught(VisionError.self) {
        try await model.run(Photo(width: 8, height: 8) { _ in image })
      }
      #expect(error.kind == kind)
    }
    let error = try await caught(VisionError.self) {
      try await model.run(Photo(width: 8, height: 8) { _ in throw NothingThrown() })
    }
    #expect(error.kind == "photo_unreadable")
  }

  @Test func aVectorThatDoesNotRunCountsAsFailed() async throws {
    let verdict = try await opened(ModelFolder(["x.ptl": "metadata golden halting"])).verify()
    #expect((verdict.cases, verdict.passed) == (3, 2))
    #expect(verdict.maxAbs == 0)
    #expect(
      verdict.sentence.contains(
        "First: tall: x.ptl loaded but did not run: it stopped. Check it on a computer with "
          + "`python -m runtime_check FILE --run-on arm64-2.1.0`. This device computes"))
  }

  @Test func tensorsGoInAndComeOutByName() async throws {
    let model = try await opened(ModelFolder(["x.ptl": "metadata golden right"]))
    let image = try square(4).tensor(.rgb)
    let outputs = try await model.run([VisionModel.imageInput: image])
    #expect(try outputs == ["logits": tinyForward(image)])
    let error = try await caught(VisionError.self) {
      try await model.run(["b": image, "a": image])
    }
    #expect(error.localizedDescription.contains("it takes image, and was given a, b. "))
    let bare = try await opened(ModelFolder(["x.ptl": "metadata_tensor golden right"]))
    let missing = try await caught(VisionError.self) { try await bare.run(["pixels": image]) }
    #expect(missing.localizedDescription.contains("it takes pixels, age, and was given pixels. "))
  }

  @Test func aClosedModelSaysSo() async throws {
    let model = try await opened(ModelFolder(["x.ptl": "metadata golden right"]))
    await model.close()
    await model.close()
    let photo = Photo(try square(4))
    let closed = VisionError.closed(file: "x.ptl")
    #expect(try await caught(VisionError.self) { try await model.run(photo) } == closed)
    #expect(try await caught(VisionError.self) { try await model.run([:]) } == closed)
    #expect(try await caught(VisionError.self) { try await model.verify() } == closed)
    #expect(model.metadata.name == "tiny", "what was read stays")
  }

  @Test func whereMemoryRunsOutItIsSaid() async throws {
    let model = try await opened(ModelFolder(["x.ptl": "metadata golden empty"]))
    let photo = Photo(try square(4))
    let error = try await caught(VisionError.self) { try await model.run(photo) }
    #expect(error == .outOfMemory(what: "x.ptl"))
  }
}
