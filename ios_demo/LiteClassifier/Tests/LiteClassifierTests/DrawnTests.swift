import Foundation
import Testing

@testable import LiteClassifier

/// `tests/golden/drawn.json`: key points and pictures as Python's report draws them.
private struct DrawnFile: Decodable {
  struct Points: Decodable {
    let name: String
    let output: OutputTensor
    let labels: [String]?
    let geometry: Geometry
    let photo: [Int]
    let values: [Double]
    let expected: [Point]?
  }

  struct Point: Decodable {
    let row: Int
    let index: Int
    let label: String
    let x: Double
    let y: Double
    let score: Double?
  }

  struct Picture: Decodable {
    let name: String
    let output: OutputTensor
    let values: [Double]
    let expected: Made?
  }

  struct Made: Decodable {
    let height: Int
    let width: Int
    let low: Double
    let high: Double
    let rgb: [UInt8]
  }

  let points: [Points]
  let pictures: [Picture]

  static func read() throws -> DrawnFile {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return try decoder.decode(DrawnFile.self, from: Fixtures.data("drawn.json"))
  }
}

@Suite struct DrawnTests {
  private func tensor(_ spec: OutputTensor, _ values: [Double]) throws -> Tensor {
    let made =
      spec.dtype == .uint8
      ? Tensor(dtype: .uint8, shape: spec.shape, bytes: values.map { UInt8($0) })
      : Tensor.floats(values.map { Float($0) }, shape: spec.shape)
    return try #require(made)
  }

  @Test func pointsLieWherePythonDrawsThem() throws {
    let vectors = try DrawnFile.read().points
    #expect(vectors.count >= 10)
    for vector in vectors {
      let metadata = try described(
        "keypoint-detection",
        [
          described(
            "out", vector.output.shape, vector.output.axes, vector.output.holds.rawValue,
            space: vector.output.space?.rawValue)
        ], labels: vector.labels)
      let found = KeyPoint.all(
        try tensor(vector.output, vector.values), vector.output, metadata.output,
        vector.geometry.place(height: vector.photo[0], width: vector.photo[1]))
      let expected = vector.expected?.map {
        KeyPoint(id: $0.row, index: $0.index, label: $0.label, x: $0.x, y: $0.y, score: $0.score)
      }
      #expect(found == expected, "\(vector.name)")
    }
  }

  @Test func aPointIsSureFromOneHalfOn() {
    func point(_ score: Double?) -> KeyPoint {
      KeyPoint(id: 0, index: 0, label: "nose", x: 1, y: 2.5, score: score)
    }
    #expect([nil, 0.5, 0.49].map { point($0).isSure } == [true, true, false])
    #expect(point(nil).text == "1, 2.5")
    #expect(point(0.25).text == "1, 2.5 (25.0%)")
    #expect(point(2).text == "1, 2.5 (2)")
  }

  @Test func picturesHaveTheLevelsOfPythons() throws {
    let vectors = try DrawnFile.read().pictures
    #expect(vectors.count >= 12)
    for vector in vectors {
      let made = MadePicture(try tensor(vector.output, vector.values), vector.output)
      guard let expected = vector.expected else {
        #expect(made == nil, "\(vector.name)")
        continue
      }
      let picture = try #require(made, "\(vector.name)")
      #expect((picture.image.height, picture.image.width) == (expected.height, expected.width))
      #expect((picture.black, picture.white) == (expected.low, expected.high), "\(vector.name)")
      let levels = picture.image.bytes.enumerated().filter { $0.offset % 4 < 3 }.map(\.element)
      #expect(levels == expected.rgb, "\(vector.name)")
      let alphas = picture.image.bytes.enumerated().filter { $0.offset % 4 == 3 }.map(\.element)
      #expect(alphas.allSatisfy { $0 == 255 })
    }
  }

  @Test func aFrameIsAPictureOfItself() throws {
    let frame = try #require(RGBImage(width: 2, height: 1, bytes: [1, 2, 3, 4, 5, 6]))
    let picture = RGBAImage(frame)
    #expect((picture.width, picture.height) == (2, 1))
    #expect(picture.bytes == [1, 2, 3, 255, 4, 5, 6, 255])
  }
}
