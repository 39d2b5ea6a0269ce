import Foundation
import Testing

@testable import LiteClassifier

private struct Palette: Decodable {
  struct Class: Decodable {
    let index: Int
    let rgb: [UInt8]
  }

  struct Depth: Decodable {
    let share: Double
    let rgb: [UInt8]
  }

  struct Mask: Decodable {
    let color: [Int]
    let photo: [Int]
    let seen: [Int]
  }

  let classes: [Class]
  let depths: [Depth]
  let masks: [Mask]
}

/// A photo that the network sees as it is.
func whole(height: Int, width: Int) -> Placement {
  Placement(
    height: height, width: width, resizedHeight: height, resizedWidth: width, top: 0, left: 0,
    networkHeight: height, networkWidth: width)
}

@Suite struct DrawingTests {
  private let nothing: [UInt8] = [0, 0, 0, 0]

  private func pixels(_ image: RGBAImage) -> [[UInt8]] {
    stride(from: 0, to: image.bytes.count, by: 4).map { Array(image.bytes[$0..<$0 + 4]) }
  }

  private func map(
    _ tensor: Tensor?, _ axes: [String], _ holds: String, labels: [String]? = nil
  ) throws -> ClassMap? {
    let tensor = try #require(tensor)
    let metadata = try segmenting(
      described(
        "out", tensor.shape, axes, holds, space: "network", dtype: tensor.dtype.rawValue), labels)
    return ClassMap(tensor, metadata.output.tensors[0], metadata.output)
  }

  private func segmenting(_ tensor: [String: Any], _ labels: [String]?) throws -> Metadata {
    try described("image-segmentation", [tensor], labels: labels)
  }

  /// By colorsys.hsv_to_rgb of Python.
  @Test func thePaletteIsStepsOfTheGoldenRatio() {
    #expect(RGBColor.ofClass(0) == RGBColor(red: 242, green: 85, blue: 85))
    #expect(RGBColor.ofClass(1) == RGBColor(red: 85, green: 131, blue: 242))
    #expect(RGBColor.ofClass(2) == RGBColor(red: 177, green: 242, blue: 85))
    #expect(Set((0..<150).map { "\(RGBColor.ofClass($0))" }).count == 150)
    #expect(RGBColor(hue: 0.5, saturation: 1, value: 1) == RGBColor(red: 0, green: 255, blue: 255))
    #expect(RGBColor(hue: 0.3, saturation: 0, value: 0.2) == RGBColor(red: 51, green: 51, blue: 51))
  }

  @Test func theColorsAreThoseOfAndroid() throws {
    let palette = try Fixtures.read(Palette.self, "palette.json")
    #expect(palette.classes.count >= 40 && palette.depths.count >= 17 && palette.masks.count >= 12)
    func levels(_ color: RGBColor) -> [UInt8] { [color.red, color.green, color.blue] }
    for vector in palette.classes { #expect(levels(.ofClass(vector.index)) == vector.rgb) }
    for vector in palette.depths { #expect(levels(.ofShare(vector.share)) == vector.rgb) }
    // The system lays the mask over the photo: of 255 steps of alpha 128 are nearest to a half.
    for vector in palette.masks {
      for channel in 0..<3 {
        let laid = (vector.color[channel] * 128 + vector.photo[channel] * 127) / 255
        #expect(abs(laid - vector.seen[channel]) <= 1)
      }
    }
  }

  @Test func theLargestScoreIsTheClassAndTiesGoToTheLower() throws {
    // Three classes on two rows of two: the second wins, a tie, NaN loses, nothing but NaN.
    let scores = Tensor.floats(
      [
        0, 2, .nan, .nan,
        5, 2, -1, .nan,
        1, 1, -2, .nan,
      ], shape: [3, 2, 2])
    let found = try #require(try map(scores, ["C", "H", "W"], "logits"))
    #expect((found.rows, found.columns) == (2, 2))
    #expect(found.classes == [1, 0, 1, 0])
  }

  @Test func classesMayLieAlongAnyAxis() throws {
    // A batch of one, rows, columns, classes last.
    let scores = Tensor.floats([0, 1, 9, 1, 0, 1], shape: [1, 1, 3, 2])
    let found = try #require(try map(scores, ["N", "H", "W", "classes"], "scores"))
    #expect((found.rows, found.columns) == (1, 3))
    #expect(found.classes == [1, 0, 1])
    let two = Tensor.floats([0, 1, 0, 1], shape: [2, 1, 1, 2])
    #expect(try map(two, ["N", "H", "W", "C"], "scores") == nil, "two photos are not one")
  }

  @Test func aMapOfClassesComesAsItIs() throws {
    let classes = Tensor.integers([3, 0, 255, 1], shape: [2, 2])
    #expect(try map(classes, ["H", "W"], "class_map")?.classes == [3, 0, 255, 1])
    #expect(try map(Tensor.floats([1, 2], shape: [2]), ["features"], "class_map") == nil)
    #expect(try map(Tensor.floats([1, 2], shape: [1, 2]), ["H", "W"], "depth") == nil)
  }

  @Test func oneClassIsSeenWhereItIsLikely() throws {
    let scores = Tensor.floats([-0.1, 0.2, 0.6, .nan], shape: [1, 1, 4])
    let axes = ["C", "H", "W"]
    let logits = try #require(try map(scores, axes, "logits", labels: ["road"]))
    #expect(logits.classes == [0, 1, 1, 0])
    #expect(logits.names == ["background", "road"])
    #expect(try map(scores, axes, "probabilities")?.classes == [0, 0, 1, 0])
    let mask = Tensor.floats([0.4, 0.6], shape: [1, 2])
    let found = try #require(try map(mask, ["H", "W"], "mask"))
    #expect(found.classes == [0, 1])
    #expect(found.names == ["background", "mask"])
    #expect(found.color(0) == nil)
    #expect(found.color(1) == .ofClass(1))
    #expect(try map(mask, ["H", "W"], "mask", labels: ["off", "on"])?.names == ["off", "on"])
  }

  @Test func labelsOfAnotherNumberAreNotTheMaps() throws {
    let two = described("out", [2, 1, 1], ["C", "H", "W"], "logits", space: "network")
    let three = described("scene", [3], ["classes"], "logits")
    let metadata = try described("image-segmentation", [two, three], labels: ["a", "b", "c"])
    let scores = try #require(Tensor.floats([0, 1], shape: [2, 1, 1]))
    let map = try #require(ClassMap(scores, metadata.output.tensors[0], metadata.output))
    #expect(map.label(1) == "class 1")
  }

  @Test func aMaskLiesOnThePartOfThePhotoThatTheNetworkSees() throws {
    // A photo of 2 x 6, resized to the same, of which the network sees the middle 2 x 2.
    let placement = Placement(
      height: 2, width: 6, resizedHeight: 2, resizedWidth: 6, top: 0, left: 2, networkHeight: 2,
      networkWidth: 2)
    let map = ClassMap(rows: 2, columns: 1, classes: [2, 1], names: [])
    let drawn = Segmentation(map, on: .network, placement)
    let (one, two): ([UInt8], [UInt8]) = ([85, 131, 242, 128], [177, 242, 85, 128])
    #expect((drawn.mask.height, drawn.mask.width) == (2, 6))
    #expect(
      pixels(drawn.mask) == [
        nothing, nothing, two, two, nothing, nothing,
        nothing, nothing, one, one, nothing, nothing,
      ])
    #expect(drawn.legend.map(\.id) == [1, 2], "equal shares: the lower class first")
    #expect(drawn.legend.map(\.share) == [0.5, 0.5], "of what the network sees")
    #expect(drawn.legend.map(\.label) == ["class 1", "class 2"])
  }

  @Test func aMaskOnThePhotoIsStretchedOverAllOfIt() throws {
    let map = ClassMap(rows: 1, columns: 2, classes: [1, 7], names: [])
    // The network sees a part only, but the map is the photo's.
    let placement = Placement(
      height: 1, width: 5, resizedHeight: 1, resizedWidth: 5, top: 0, left: 2, networkHeight: 1,
      networkWidth: 1)
    let drawn = Segmentation(map, on: .photo, placement)
    // The middle of the third pixel is that of the map, which belongs to the second cell.
    #expect(
      pixels(drawn.mask).map { $0 == [85, 131, 242, 128] } == [true, true, false, false, false])
    #expect(drawn.legend.map(\.id) == [7, 1])
    #expect(drawn.legend.map(\.share) == [0.6, 0.4])
  }

  @Test func whatTheExporterPutOntoThePhotoHasNoClassWhereNothingIsSeen() {
    // The network sees the middle 1 x 2 of 1 x 4; the exporter writes 255 beside it.
    let placement = Placement(
      height: 1, width: 4, resizedHeight: 1, resizedWidth: 4, top: 0, left: 1, networkHeight: 1,
      networkWidth: 2)
    let map = ClassMap(rows: 1, columns: 4, classes: [255, 1, 1, 255], names: [])
    let drawn = Segmentation(map, on: .photo, placement, onlySeen: true)
    let one: [UInt8] = [85, 131, 242, 128]
    #expect(pixels(drawn.mask) == [nothing, one, one, nothing])
    #expect(drawn.legend.map(\.id) == [1])
    #expect(drawn.legend.map(\.share) == [1])
    // A map that is the network's own may have a class of that number.
    #expect(Segmentation(map, on: .photo, placement).legend.map(\.id) == [1, 255])
  }

  @Test(arguments: [("background", false), ("__background__", false), ("wall", true)])
  func classZeroIsDrawnUnlessItIsTheBackground(label: String, isDrawn: Bool) throws {
    let map = ClassMap(rows: 1, columns: 2, classes: [0, 1], names: [label, "background"])
    let drawn = Segmentation(map, on: .network, whole(height: 1, width: 2))
    let zero: [UInt8] = isDrawn ? [242, 85, 85, 128] : nothing
    #expect(pixels(drawn.mask) == [zero, [85, 131, 242, 128]], "only class 0 can be left out")
    #expect(drawn.legend.map(\.label) == [label, "background"])
    #expect(drawn.legend.map { $0.color != nil } == [isDrawn, true])
  }

  @Test func whatHasNoClassIsNotInTheLegend() throws {
    let map = ClassMap(rows: 1, columns: 2, classes: [-1, 0], names: ["road"])
    let drawn = Segmentation(map, on: .network, whole(height: 1, width: 2))
    #expect(pixels(drawn.mask) == [nothing, [242, 85, 85, 128]])
    #expect(drawn.legend.map(\.label) == ["road"])
    #expect(drawn.legend.map(\.share) == [0.5])
  }

  @Test func depthGoesFromBlueToRed() throws {
    let map = ValueMap(rows: 1, columns: 4, values: [2, 4, 3, .infinity])
    let drawn = try #require(
      DepthPicture(map, on: .network, whole(height: 1, width: 4), unit: "meters"))
    #expect((drawn.minimum, drawn.maximum, drawn.unit) == (2, 4, "meters"))
    #expect(
      pixels(drawn.image) == [
        [48, 48, 242, 255], [242, 48, 48, 255], [48, 242, 48, 255], nothing,
      ])
    let flat = ValueMap(rows: 1, columns: 1, values: [7])
    let one = try #require(DepthPicture(flat, on: .network, whole(height: 1, width: 1), unit: nil))
    #expect(pixels(one.image) == [[48, 48, 242, 255]])
    let empty = ValueMap(rows: 1, columns: 1, values: [.nan])
    #expect(DepthPicture(empty, on: .network, whole(height: 1, width: 1), unit: nil) == nil)
  }
}
