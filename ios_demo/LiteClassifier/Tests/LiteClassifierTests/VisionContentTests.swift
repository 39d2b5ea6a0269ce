import Foundation
import Testing

@testable import LiteClassifier

@Suite struct VisionContentTests {
  /// Present tensors as the metadata describes them, on a photo of 4 x 8 that is halved.
  private func shown(
    _ task: String?, _ outputs: [([String: Any], Tensor?)], labels: [String]? = nil
  ) throws -> (shown: VisionContent, others: [OutputRow]) {
    let metadata = try described(task, outputs.map(\.0), labels: labels)
    let named = try zip(metadata.output.tensors, outputs).map { spec, output in
      NamedOutput(spec: spec, tensor: try #require(output.1))
    }
    let placement = Placement(
      height: 4, width: 8, resizedHeight: 2, resizedWidth: 4, top: 0, left: 0, networkHeight: 2,
      networkWidth: 4)
    return VisionContent.of(named, metadata: metadata, placement: placement, k: 2)
  }

  private func present(
    _ task: String?, _ outputs: [([String: Any], Tensor?)], labels: [String]? = nil
  ) throws -> VisionContent {
    try shown(task, outputs, labels: labels).shown
  }

  private func found(_ content: VisionContent) throws -> Detections {
    guard case .boxes(let detections) = content else { throw Other() }
    return detections
  }

  private struct Other: Error {}

  @Test(arguments: ["image-classification", "multi-label-classification"])
  func aRowOfClassesIsBars(task: String) throws {
    let row = described("out", [1, 3], ["N", "classes"], "probabilities")
    let shown = try present(task, [(row, .floats([0.25, 0.125, 0.625], shape: [1, 3]))])
    guard case .classes(let predictions) = shown else { throw Other() }
    #expect(predictions.map(\.id) == [2, 0], "at most k")
    #expect(shown.summary == "class 2, 62.5%")
  }

  @Test func pointsAndPicturesAreDrawn() throws {
    let points = described("out", [2, 2], ["points", "2"], "keypoints", space: "network")
    let found = try present(
      "keypoint-detection", [(points, .floats([1, 1, 3, 2], shape: [2, 2]))],
      labels: ["nose", "chin"])
    guard case .keyPoints(let placed) = found else { throw Other() }
    // A photo of 4 x 8 that is halved.
    #expect(placed.map { [$0.x, $0.y] } == [[2, 2], [6, 4]])
    #expect(found.summary == "2 points: nose, chin")
    let color = described("out", [3, 1, 2], ["C", "H", "W"], "image", space: "network")
    let made = try present(
      "image-to-image", [(color, .floats([0, 1, 0, 1, 0, 0.5], shape: [3, 1, 2]))])
    guard case .picture(let picture) = made else { throw Other() }
    #expect(picture.image.bytes == [0, 0, 0, 255, 255, 255, 128, 255])
    #expect((picture.text(picture.black), picture.text(picture.white)) == ("0", "1"))
    #expect(made.summary == "A picture of 2 × 1 pixels")
    #expect(found.isDrawn && made.isDrawn)
    let row = described("out", [2], ["classes"], "probabilities")
    #expect(
      try !present("image-classification", [(row, .floats([0, 1], shape: [2]))]).isDrawn)
  }

  @Test func scoresOfAnotherTaskAreATableAndNeverAClass() throws {
    let row = described("out", [1, 3], ["N", "classes"], "logits")
    let shown = try present(nil, [(row, .floats([1, .nan, 5], shape: [1, 3]))])
    guard case .tensors(let rows) = shown else { throw Other() }
    #expect(rows.map(\.name) == ["out"])
    #expect(rows.map(\.shape) == ["1 × 3"])
    #expect(rows.map(\.axes) == ["N × classes"])
    #expect(rows.map(\.dtype) == ["float32"])
    #expect(rows.map(\.range) == ["min 1, mean 3, max 5"])
    #expect(shown.summary == "1 output: out, 1 × 3")
    let map = described("map", [2, 2, 2], ["C", "H", "W"], "logits", space: "network")
    let scores = Tensor.floats(.init(repeating: 0, count: 8), shape: [2, 2, 2])
    guard case .tensors = try present("image-classification", [(map, scores)]) else {
      throw Other()
    }
  }

  @Test func aTableSaysTheUnitAndWhatIsNotANumber() throws {
    let scalar = described("age", [], [], "values", unit: "years")
    let empty = described("none", [0], ["boxes"], "values")
    let shown = try present(
      nil, [(scalar, .floats([41.5], shape: [])), (empty, .floats([], shape: [0]))])
    guard case .tensors(let rows) = shown else { throw Other() }
    #expect(rows.map(\.shape) == ["a scalar", "0"])
    #expect(rows.map(\.range) == ["min 41.5, mean 41.5, max 41.5 years", "no finite value"])
  }

  @Test func aSegmentationIsAMaskAndALegend() throws {
    let map = described("out", [2, 1, 2], ["C", "H", "W"], "logits", space: "network")
    let scores = Tensor.floats([1, 0, 0, 1], shape: [2, 1, 2])
    let labels = ["background", "cat"]
    let shown = try present("image-segmentation", [(map, scores)], labels: labels)
    guard case .classMap(let segmentation) = shown else { throw Other() }
    #expect(segmentation.legend.map(\.label) == labels)
    #expect((segmentation.mask.width, segmentation.mask.height) == (8, 4))
    #expect(shown.summary == "background 50.0%, cat 50.0%")
    // Nobody said which picture the map lies on: it cannot be drawn.
    let lost = described("out", [2, 1, 2], ["C", "H", "W"], "logits")
    guard case .tensors = try present("image-segmentation", [(lost, scores)], labels: labels) else {
      throw Other()
    }
  }

  @Test func whatIsNotDrawnIsListed() throws {
    let map = described("out", [2, 1, 2], ["C", "H", "W"], "logits", space: "network")
    let aux = described("aux", [2, 1, 2], ["C", "H", "W"], "logits", space: "network")
    let scores = Tensor.floats([1, 0, 0, 1], shape: [2, 1, 2])
    let (shown, others) = try shown("image-segmentation", [(map, scores), (aux, scores)])
    guard case .classMap = shown else { throw Other() }
    #expect(others.map(\.name) == ["aux"])
    let boxes = described("boxes", [1, 4], ["boxes", "4"], "boxes", space: "photo")
    let found = try self.shown(
      "object-detection", [(boxes, .floats([0, 0, 1, 1], shape: [1, 4]))])
    #expect(found.others.isEmpty, "all of them make the boxes")
  }

  @Test func depthIsAColoredMap() throws {
    let map = described("depth", [1, 2], ["H", "W"], "depth", space: "network", unit: "meters")
    let shown = try present("depth-estimation", [(map, .floats([0.5, 2], shape: [1, 2]))])
    guard case .depth(let picture) = shown else { throw Other() }
    #expect((picture.image.width, picture.image.height) == (8, 4))
    #expect(shown.summary == "Depth from 0.5 to 2 meters")
  }

  @Test func boxesHaveTheirClassAndScore() throws {
    let boxes = described("boxes", [5, 4], ["boxes", "4"], "boxes", space: "network")
    let classes = described("labels", [5], ["boxes"], "class_index", dtype: "int64")
    let scores = described("scores", [5], ["boxes"], "scores")
    let shown = try present(
      "object-detection",
      [
        (
          boxes,
          .floats(
            [
              0, 0, 1, 1,
              1, 0.5, 9, 2,  // beyond the photo's right edge
              5, 0, 6, 1,  // right of the photo
              0, .nan, 1, 1,
              2, 1, 3, 2,
            ], shape: [5, 4])
        ),
        (classes, .integers([1, 0, 1, 1, 9], shape: [5])),
        (scores, .floats([0.25, 0.75, 1, 1, 0.75], shape: [5])),
      ], labels: ["cat", "dog"])
    let detections = try found(shown)
    #expect(detections.all.map(\.id) == [1, 4, 0], "the best first, of equal ones the earlier")
    #expect(detections.all.map(\.text) == ["cat 75.0%", "class 9 75.0%", "dog 25.0%"])
    #expect(detections.all[0].box == Box(left: 2, top: 1, right: 8, bottom: 4))
    #expect(detections.all[2].box == Box(left: 0, top: 0, right: 2, bottom: 2))
    #expect(detections.range == 0...1)
    #expect(detections.above(0.5).map(\.id) == [1, 4])
    #expect(detections.above(0.25).count == 3)
    #expect(detections.above(0.76).isEmpty)
    #expect(shown.summary == "2 objects: cat 75.0%, class 9 75.0%")
  }

  @Test func theBestClassOfABoxCounts() throws {
    let boxes = described("boxes", [1, 2, 4], ["N", "boxes", "4"], "boxes", space: "photo")
    let scores = described("scores", [1, 2, 3], ["N", "boxes", "classes"], "logits")
    let detections = try found(
      present(
        "object-detection",
        [
          (boxes, .floats([0, 0, 1, 1, -1, -1, 2, 3], shape: [1, 2, 4])),
          (scores, .floats([0, 4, 2, 9, -1, 9], shape: [1, 2, 3])),
        ], labels: ["a", "b", "c"]))
    #expect(detections.all.map(\.text) == ["a 9", "b 4"], "of equal scores the lower class")
    #expect(detections.all[0].box == Box(left: 0, top: 0, right: 2, bottom: 3), "cut, not moved")
    #expect(detections.range == 4...9)
    #expect(detections.threshold(nil) == 6.5)
    #expect(
      [-1, 5, 12].map { detections.threshold($0) } == [4, 5, 9], "of another photo, perhaps")
  }

  @Test func oneScoreAloneLeavesTheSliderARange() throws {
    let boxes = described("boxes", [1, 4], ["boxes", "4"], "boxes", space: "photo")
    let scores = described("scores", [1], ["boxes"], "logits")
    let detections = try found(
      present(
        "object-detection",
        [(boxes, .floats([0, 0, 1, 1], shape: [1, 4])), (scores, .floats([7], shape: [1]))]))
    #expect(detections.range == 6.5...7.5)
    #expect(detections.above(detections.threshold(nil)).map(\.text) == ["box 7"])
  }

  @Test func aPhotoWithoutObjectsIsNoError() throws {
    let boxes = described("boxes", [0, 4], ["boxes", "4"], "boxes", space: "network")
    let scores = described("scores", [0], ["boxes"], "scores")
    let shown = try present(
      "object-detection",
      [(boxes, .floats([], shape: [0, 4])), (scores, .floats([], shape: [0]))])
    #expect(try found(shown).all.isEmpty)
    #expect(shown.summary == "No object")
  }

  @Test func boxesWithoutScoresAreAllShown() throws {
    let boxes = described("boxes", [2, 4], ["boxes", "4"], "boxes", space: "photo")
    let corners = Tensor.floats([0, 0, 1, 1, 1, 1, 2, 2], shape: [2, 4])
    // Scores of something else: there are three of them.
    let scores = described("scores", [3], ["boxes"], "scores")
    let detections = try found(
      present(
        "object-detection", [(boxes, corners), (scores, .floats([1, 1, 1], shape: [3]))]))
    #expect(detections.all.map(\.text) == ["box", "box"])
    #expect(detections.all.map(\.id) == [0, 1])
    #expect(detections.range == nil)
    #expect(detections.above(detections.threshold(0.7)).count == 2)
    // Nobody said which picture they lie on.
    let lost = described("boxes", [2, 4], ["boxes", "4"], "boxes")
    guard case .tensors = try present("object-detection", [(lost, corners)]) else { throw Other() }
  }

  @Test func classesMayComeBeforeBoxes() throws {
    let boxes = described("boxes", [2, 4], ["boxes", "4"], "boxes", space: "photo")
    let scores = described("scores", [3, 2], ["classes", "boxes"], "probabilities")
    let detections = try found(
      present(
        "object-detection",
        [
          (boxes, .floats([0, 0, 1, 1, 1, 1, 2, 2], shape: [2, 4])),
          (scores, .floats([0.1, 0.5, 0.2, 0.25, 0.3, 0.75], shape: [3, 2])),
        ]))
    #expect(detections.all.map(\.text) == ["class 2 75.0%", "class 2 30.0%"])
    #expect(detections.all.map(\.id) == [1, 0])
  }

  @Test func cosines() {
    #expect(cosineSimilarity([3, 4], [6, 8]) == 1)
    #expect(cosineSimilarity([1, 0], [0, 2]) == 0)
    #expect(cosineSimilarity([1, 1], [-2, -2]) == -1)
    #expect(cosineSimilarity([3, 4], [4, 3]) == 0.96)
    #expect(cosineSimilarity([0, 0], [1, 1]) == nil)
    #expect(cosineSimilarity([1], [1, 1]) == nil)
    #expect(cosineSimilarity([.nan, 1], [1, 1]) == nil)
  }

  @Test func numbersHaveTheirUnit() throws {
    let age = described("age", [1], ["1"], "values", unit: "years")
    let shown = try present("image-regression", [(age, .floats([41.27], shape: [1]))])
    guard case .numbers(let quantities) = shown else { throw Other() }
    #expect(quantities.map(\.name) == ["age"])
    #expect(quantities.map(\.text) == ["41.27 years"])
    #expect(shown.summary == "age: 41.27 years")
  }

  @Test func severalNumbersAreNamedAndManyAreATable() throws {
    let two = described("pose", [2], ["features"], "values")
    let pair = Tensor.floats([1, 2], shape: [2])
    let labeled = try present("image-regression", [(two, pair)], labels: ["yaw", "pitch"])
    guard case .numbers(let named) = labeled else { throw Other() }
    #expect(named.map(\.name) == ["yaw", "pitch"])
    guard case .numbers(let counted) = try present("image-regression", [(two, pair)]) else {
      throw Other()
    }
    #expect(counted.map(\.name) == ["pose 1", "pose 2"])
    let many = described("out", [17], ["features"], "values")
    let row = Tensor.floats(.init(repeating: 1, count: 17), shape: [17])
    guard case .tensors = try present("image-regression", [(many, row)]) else { throw Other() }
  }

  @Test(arguments: ["image-to-image", "keypoint-detection"])
  func whatIsNoPictureAndNoPointIsATable(task: String) throws {
    let values = described("out", [3, 1, 1], ["C", "H", "W"], "values", space: "network")
    guard case .tensors = try present(task, [(values, .floats([0, 1, 2], shape: [3, 1, 1]))]) else {
      throw Other()
    }
  }
}
