import Foundation
import Testing

@testable import LiteClassifier

private struct PixelVector: Decodable {
  let order: String
  let width: Int
  let height: Int
  let rowStride: Int
  let bytes: Data
  let rgb: Data
}

private struct OrientationVector: Decodable {
  struct Image: Decodable {
    let height: Int
    let width: Int
    let rgb: Data
  }

  let orientation: Int
  let height: Int
  let width: Int
  let rgb: Data
  let upright: Image
}

private struct DownsampleVector: Decodable {
  let width: Int
  let height: Int
  let inputSize: [Int]?
  let cropPct: Double?
  let minSide: Int
  let maxSide: Int
  let maxAspect: Int
  let wantedSide: Int?
  let sample: Int
  let refusal: String?
}

@Suite struct PhotoTests {
  @Test func pixelsOfEveryOrderAndStride() throws {
    let vectors = try Fixtures.list(PixelVector.self, "pixels.json")
    #expect(Set(vectors.map(\.order)) == Set(PixelOrder.allCases.map(\.rawValue)))
    for vector in vectors {
      let order = try #require(PixelOrder(rawValue: vector.order))
      let image = [UInt8](vector.bytes).withUnsafeBytes {
        RGBImage(
          pixels: $0, width: vector.width, height: vector.height, rowStride: vector.rowStride,
          order: order)
      }
      #expect(image?.bytes == [UInt8](vector.rgb), "\(vector.order), stride \(vector.rowStride)")
      #expect(image?.tensor(.rgb).shape == [vector.height, vector.width, 3])
    }
  }

  @Test func memoryThatIsTooShortIsRefused() {
    let bytes = [UInt8](repeating: 7, count: 2 * 12 - 1)
    bytes.withUnsafeBytes { pixels in
      #expect(
        RGBImage(pixels: pixels, width: 3, height: 2, rowStride: 12, order: .bgra) == nil)
      #expect(RGBImage(pixels: pixels, width: 3, height: 1, rowStride: 8, order: .bgra) == nil)
      #expect(RGBImage(pixels: pixels, width: 0, height: 1, rowStride: 8, order: .bgra) == nil)
    }
    #expect(RGBImage(width: 2, height: 2, bytes: [1, 2, 3]) == nil)
  }

  @Test func everyOrientation() throws {
    let vectors = try Fixtures.list(OrientationVector.self, "orientations.json")
    #expect(Set(vectors.map(\.orientation)) == Set(1...8))
    for vector in vectors {
      let stored = try #require(
        RGBImage(width: vector.width, height: vector.height, bytes: [UInt8](vector.rgb)))
      let upright = stored.upright(orientation: vector.orientation)
      #expect(upright.width == vector.upright.width)
      #expect(upright.height == vector.upright.height)
      #expect(upright.bytes == [UInt8](vector.upright.rgb), "orientation \(vector.orientation)")
    }
  }

  @Test func orientationsThatExifDoesNotKnowChangeNothing() throws {
    let image = try #require(RGBImage(width: 2, height: 1, bytes: [1, 2, 3, 4, 5, 6]))
    for orientation in [-1, 0, 9, 300] { #expect(image.upright(orientation: orientation) == image) }
  }

  @Test func decodingPlans() throws {
    for vector in try Fixtures.list(DownsampleVector.self, "downsample.json") {
      let bounds = Metadata.ImageBounds(
        minSide: vector.minSide, maxSide: vector.maxSide, maxAspect: vector.maxAspect)
      let preprocessing = try vector.inputSize.map { size in
        Metadata.Preprocessing(
          inputSize: size, cropFraction: try #require(vector.cropPct))
      }
      let plan = DecodingPlan.plan(
        width: vector.width, height: vector.height, bounds: bounds, preprocessing: preprocessing)
      #expect(DecodingPlan.wantedSide(preprocessing) == vector.wantedSide)
      if let refusal = vector.refusal {
        let expected = try #require(DecodingPlan.Refusal(rawValue: refusal))
        #expect(plan == .refused(expected), "\(vector.width) x \(vector.height)")
      } else {
        #expect(plan == .sample(vector.sample), "\(vector.width) x \(vector.height)")
      }
    }
  }

  @Test func grayAndAlphaAreThoseOfPillow() throws {
    // Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0)) of Pillow
    let colors: [([UInt8], UInt8)] = [
      ([0, 0, 0], 0), ([255, 255, 255], 255), ([255, 0, 0], 76), ([0, 255, 0], 150),
      ([0, 0, 255], 29), ([1, 2, 3], 2), ([200, 100, 50], 124),
    ]
    let image = try #require(
      RGBImage(width: colors.count, height: 1, bytes: colors.flatMap(\.0)))
    let gray = image.tensor(.gray)
    #expect(gray.shape == [1, colors.count, 1])
    #expect(gray.bytes == colors.map(\.1))
    let alpha = image.tensor(.rgba)
    #expect(alpha.shape == [1, colors.count, 4])
    #expect(alpha.bytes == colors.flatMap { $0.0 + [255] })
    #expect(image.tensor(.rgb).bytes == image.bytes)
  }

  @Test func alphaIsKeptBesideTheColors() throws {
    let bytes: [UInt8] = [200, 100, 50, 10, 1, 2, 3, 255]
    func read(_ order: PixelOrder, _ isPremultiplied: Bool = false) throws -> RGBImage {
      try bytes.withUnsafeBytes {
        try #require(
          RGBImage(
            pixels: $0, width: 2, height: 1, rowStride: 8, order: order,
            isPremultiplied: isPremultiplied))
      }
    }
    let image = try read(.rgba)
    #expect(image.bytes == [200, 100, 50, 1, 2, 3], "as Pillow leaves them")
    #expect(image.alpha == [10, 255])
    #expect(image.tensor(.rgba).bytes == bytes)
    #expect(image.upright(orientation: 2).tensor(.rgba).bytes == [1, 2, 3, 255, 200, 100, 50, 10])
    #expect(try read(.rgbx).alpha == nil)
    #expect(RGBImage(width: 1, height: 1, bytes: [1, 2, 3], alpha: [1, 2]) == nil)
    // 8, 4, 2 of alpha 10 were 204, 102, 51; of no alpha nothing is left.
    let scaled: [UInt8] = [8, 4, 2, 10, 9, 9, 9, 0]
    let divided = try scaled.withUnsafeBytes {
      try #require(
        RGBImage(
          pixels: $0, width: 2, height: 1, rowStride: 8, order: .rgba, isPremultiplied: true))
    }
    #expect(divided.bytes == [204, 102, 51, 0, 0, 0])
    #expect(divided.alpha == [10, 0])
  }

  @Test func aFrameIsShrunkByAveragingSquares() throws {
    let image = try #require(
      RGBImage(width: 5, height: 3, bytes: (0..<45).map { UInt8($0) }))
    #expect(image.shrunk(1) == image)
    // Red of the first square: 0, 3, 15, 18; the fifth column and the third row are left over.
    #expect(image.shrunk(2).bytes == [9, 10, 11, 15, 16, 17])
    #expect(image.shrunk(3).bytes == [18, 19, 20])
    #expect(image.shrunk(8) == image)
  }
}
