import Foundation
import Testing

@testable import LiteClassifier

#if canImport(CAllocations)
  import CAllocations
#endif

/// A photo of `photos.json`: what Python reads from the file.
private struct PhotoVector: Decodable {
  let name: String
  let width: Int
  let height: Int
  let rgb: Data
  let alpha: Data
}

private struct PhotoFile: Decodable {
  let photos: [PhotoVector]
}

/// A photo as a decoder holds it, in the words that CoreGraphics has for that.
struct StoredVector: Decodable, CustomTestStringConvertible, Sendable {
  let photo: String
  let layout: String
  let width: Int
  let height: Int
  let bits: Int
  let bytesPerRow: Int
  let model: String
  let table: Data?
  let alpha: String
  let order: String
  let inverted: Bool
  let orientation: Int
  let bytes: Data

  var testDescription: String { "\(photo), \(layout)" }

  func picture() throws -> StoredPicture {
    let model: StoredPicture.Model =
      switch self.model {
      case "gray": .gray
      case "rgb": .rgb
      case "cmyk": .cmyk
      default: .indexed(table: [UInt8](try #require(table)))
      }
    return StoredPicture(
      width: width, height: height, bitsPerComponent: bits, bytesPerRow: bytesPerRow, model: model,
      alpha: try #require(StoredPicture.Alpha(rawValue: alpha)),
      order: try #require(StoredPicture.Order(rawValue: order)), isInverted: inverted)
  }
}

@Suite struct StoredPictureTests {
  static func stored() throws -> [StoredVector] {
    try Fixtures.list(StoredVector.self, "stored.json")
  }

  @Test func everyPhotoIsThere() throws {
    let photos = try Fixtures.read(PhotoFile.self, "photos.json").photos
    let stored = try Self.stored()
    #expect(Set(stored.map(\.photo)) == Set(photos.map(\.name)))
    #expect(Set(stored.map(\.order)) == Set(StoredPicture.Order.allCases.map(\.rawValue)))
    #expect(Set(stored.map(\.model)) == ["gray", "rgb", "cmyk", "indexed"])
    #expect(Set(stored.map(\.orientation)) == Set(1...8))
  }

  /// The bytes that reach the model are Python's, however the decoder holds them.
  @Test(arguments: try stored())
  func theBytesOfThePhotoArePythons(vector: StoredVector) throws {
    let photo = try #require(
      try Fixtures.read(PhotoFile.self, "photos.json").photos.first { $0.name == vector.photo })
    let picture = try vector.picture()
    let read = [UInt8](vector.bytes).withUnsafeBytes { picture.rgb($0) }
    let image = try #require(read).upright(orientation: vector.orientation)
    #expect((image.width, image.height) == (photo.width, photo.height))
    #expect(image.tensor(.rgb).bytes == [UInt8](photo.rgb))
    let four = image.tensor(.rgba).bytes
    #expect(stride(from: 3, to: four.count, by: 4).map { four[$0] } == [UInt8](photo.alpha))
  }

  @Test func memoryThatIsTooShortAndLayoutsThatAreNotKnownAreNil() throws {
    func read(
      bits: Int = 8, row: Int = 12, alpha: StoredPicture.Alpha = .last,
      order: StoredPicture.Order = .big, count: Int = 24
    ) -> RGBImage? {
      let picture = StoredPicture(
        width: 3, height: 2, bitsPerComponent: bits, bytesPerRow: row, model: .rgb, alpha: alpha,
        order: order)
      return [UInt8](repeating: 9, count: count).withUnsafeBytes { picture.rgb($0) }
    }
    #expect(read() != nil)
    #expect(read(count: 23) == nil)
    #expect(read(row: 11) == nil)
    #expect(read(bits: 10, count: 99) == nil)
    #expect(read(bits: 32, row: 48, count: 99) == nil)
    #expect(read(alpha: .none, order: .little32, count: 99) == nil, "no pixel of four bytes")
    #expect(read(bits: 8, order: .little16, count: 99) == nil)
  }

  @Test func anIndexBeyondThePaletteIsBlack() throws {
    let picture = StoredPicture(
      width: 3, height: 1, bitsPerComponent: 8, bytesPerRow: 3,
      model: .indexed(table: [1, 2, 3, 4, 5, 6]), alpha: .none)
    let read = [UInt8]([1, 2, 255]).withUnsafeBytes { picture.rgb($0) }
    #expect(read?.bytes == [4, 5, 6, 0, 0, 0, 0, 0, 0])
  }

  @Test func colorsThatWereMultipliedAreDivided() throws {
    for (alpha, bytes) in [
      (StoredPicture.Alpha.premultipliedLast, [8, 4, 2, 10] as [UInt8]),
      (.premultipliedFirst, [10, 8, 4, 2]),
    ] {
      let picture = StoredPicture(
        width: 1, height: 1, bitsPerComponent: 8, bytesPerRow: 4, model: .rgb, alpha: alpha)
      let read = bytes.withUnsafeBytes { picture.rgb($0) }
      #expect(read?.bytes == [204, 102, 51])
      #expect(read?.alpha == [10])
    }
  }

  /// 50 megapixels are never decoded whole for a model that sees a few hundred pixels.
  @Test(arguments: [(8160, 6144), (6144, 8160), (20_000, 2500), (7072, 7072)])
  func ofFiftyMegapixelsLittleIsDecoded(width: Int, height: Int) throws {
    #expect(width * height >= 50_000_000)
    // As most classifiers are exported: 224 pixels of a photo resized to 256.
    let preprocessing = Metadata.Preprocessing(inputSize: [3, 224, 224], cropFraction: 0.875)
    let plan = DecodingPlan.plan(
      width: width, height: height,
      bounds: Metadata.ImageBounds(minSide: 8, maxSide: 8192, maxAspect: 32),
      preprocessing: preprocessing)
    guard case .sample(let sample) = plan else {
      Issue.record("refused: \(plan)")
      return
    }
    let (across, down) = (width / sample, height / sample)
    let short = min(across, down)
    // The resize in the graph averages at least two pixels into one, and fewer than four.
    #expect((2 * 256..<4 * 256).contains(short))
    print("of \(width) x \(height): \(across) x \(down), \(across * down * 3 / 1000) kB of RGB")
  }

  @Test func aPhotoOnePixelWideIsASentence() async throws {
    struct Narrow: Decodable { let narrow: Data }
    let png = [UInt8](try Fixtures.read(Narrow.self, "photos.json").narrow)
    // Width and height stand behind the PNG's first chunk's name.
    let sides = [16, 20].map { at in png[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
    #expect(sides == [1, 20])
    let folder = try ModelFolder(["a.ptl": "metadata golden right"])
    let model = try await VisionModel.open(folder.file("a.ptl"), runtime: FakeRuntime.self)
    let error = try await caught(VisionError.self) {
      try await model.run(
        Photo(width: sides[0], height: sides[1]) { _ in
          Issue.record("a photo that no model takes must not be decoded")
          throw VisionError.photoUnreadable(why: "it was asked for")
        })
    }
    #expect(error.localizedDescription.contains("1 x 20"))
  }

  #if canImport(CAllocations)
    /// What each step of a photo's way costs, in bytes for each pixel that was decoded.
    @Test func memoryOfEachStep() throws {
      let (width, height) = (400, 300)
      let memory = [UInt8](repeating: 70, count: width * height * 4)
      func cost<Result>(_ name: String, _ body: () throws -> Result) rethrows -> (Result, Double) {
        let before = allocated_bytes()
        let result = try body()
        let bytes = Double(allocated_bytes() - before) / Double(width * height)
        print("bytes for each pixel, \(name): \(String(format: "%.2f", bytes))")
        return (result, bytes)
      }
      for (alpha, levels) in [
        (StoredPicture.Alpha.skipLast, 3.0), (.last, 4), (.premultipliedLast, 7),
      ] {
        let picture = StoredPicture(
          width: width, height: height, bitsPerComponent: 8, bytesPerRow: width * 4, model: .rgb,
          alpha: alpha)
        let (read, reading) = try cost("read, \(alpha)") {
          try #require(memory.withUnsafeBytes { picture.rgb($0) })
        }
        #expect(abs(reading - levels) < 0.1)
        let (upright, turning) = cost("turned, \(alpha)") { read.upright(orientation: 6) }
        #expect(abs(turning - (read.alpha == nil ? 3 : 4)) < 0.1)
        #expect(cost("upright already") { read.upright(orientation: 1) }.1 < 0.1)
        #expect(cost("to the model as RGB") { upright.tensor(.rgb) }.1 < 0.1)
        #expect(abs(cost("to the model as RGBA") { upright.tensor(.rgba) }.1 - 4) < 0.1)
        #expect(abs(cost("to the model as gray") { upright.tensor(.gray) }.1 - 1) < 0.1)
      }
    }
  #endif
}
