import Foundation
import Testing

@testable import LiteClassifier

#if canImport(CAllocations)
  import CAllocations
#endif

/// A camera frame in memory: BGRX, rows with a gap behind them, every pixel another color.
private struct Frame {
  let width: Int
  let height: Int
  let stride: Int
  let memory: [UInt8]

  init(_ width: Int, _ height: Int) {
    (self.width, self.height, stride) = (width, height, width * 4 + 16)
    memory = (0..<stride * height).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / 251) }
  }

  /// The same by way of the picture as stored, which `PhotoTests` holds to Python's.
  func upright(_ orientation: Int) throws -> RGBImage {
    try memory.withUnsafeBytes {
      try #require(
        RGBImage(pixels: $0, width: width, height: height, rowStride: stride, order: .bgrx))
    }.upright(orientation: orientation)
  }

  func offered(to gate: FrameGate, orientation: Int = 1) -> Bool {
    memory.withUnsafeBytes {
      gate.offer(
        pixels: $0, width: width, height: height, rowStride: stride, order: .bgrx,
        orientation: orientation)
    }
  }
}

@Suite struct FrameTests {
  @Test(arguments: 0...9)
  func aFrameIsTurnedAsAPhotoIs(orientation: Int) throws {
    let frame = Frame(6, 4)
    var converter = FrameConverter()
    let image = frame.memory.withUnsafeBytes {
      converter.convert(
        pixels: $0, width: 6, height: 4, rowStride: frame.stride, order: .bgrx,
        orientation: orientation)
    }
    let expected = try frame.upright(orientation)
    #expect(image == expected)
  }

  @Test func aFrameThatIsHeldKeepsItsPixels() throws {
    var converter = FrameConverter()
    var held: [(RGBImage, RGBImage)] = []
    for index in 0..<7 {
      // Another size halfway, as when the device is turned.
      let frame = Frame(8 + index, index < 4 ? 5 : 3)
      let image = frame.memory.withUnsafeBytes {
        converter.convert(
          pixels: $0, width: frame.width, height: frame.height, rowStride: frame.stride,
          order: .bgrx, orientation: 6)
      }
      held.append((try #require(image), try frame.upright(6)))
    }
    for (image, expected) in held { #expect(image == expected) }
  }

  @Test func memoryThatDoesNotFitIsNoFrame() {
    var converter = FrameConverter()
    [UInt8](repeating: 7, count: 2 * 12 - 1).withUnsafeBytes { pixels in
      for (width, height, stride) in [(3, 2, 12), (3, 1, 8), (0, 1, 8), (2, 2, 9)] {
        let image = converter.convert(
          pixels: pixels, width: width, height: height, rowStride: stride, order: .bgrx,
          orientation: 1)
        #expect(image == nil, "\(width) x \(height), \(stride) bytes apart")
      }
    }
  }

  @Test func aFrameThatNobodyWaitsForIsDropped() async throws {
    let gate = FrameGate()
    let frame = Frame(4, 2)
    gate.open()
    #expect(!gate.isAwaited)
    #expect(!frame.offered(to: gate))
    let first = Task { await gate.next() }
    while !gate.isAwaited { await Task.yield() }
    #expect(frame.offered(to: gate, orientation: 3))
    let turned = try frame.upright(3)
    #expect(await first.value == turned)
    #expect(!frame.offered(to: gate), "the model has one, and asks when it is done")
    let second = Task { await gate.next() }
    while !gate.isAwaited { await Task.yield() }
    #expect(await gate.next() == nil, "one waits at a time")
    gate.close()
    #expect(await second.value == nil)
    #expect(await gate.next() == nil)
    #expect(!frame.offered(to: gate))
  }

  @Test func turnsOfTheSensorAsExifHasThem() {
    let turns: [(Double, Int)] = [
      (0, 1), (90, 6), (180, 3), (270, 8), (-90, 8), (360, 1), (44, 1), (46, 6), (449.6, 6),
    ]
    for (angle, orientation) in turns {
      #expect(exifOrientation(angle: angle) == orientation, "\(angle) degrees")
    }
  }

  @Test func framesASecondAreThoseOfTheLastTen() {
    var rate = FrameRate()
    #expect(rate.perSecond == nil)
    rate.add(at: 5)
    #expect(rate.perSecond == nil)
    rate.add(at: 5.5)
    #expect(rate.perSecond == 2)
    rate.add(at: 6)
    #expect(rate.perSecond == 2)
    for tenth in 1...10 { rate.add(at: 6 + Double(tenth) / 10) }
    #expect(abs((rate.perSecond ?? 0) - 10) < 1e-9)
  }

  #if canImport(CAllocations)
    /// Bytes that `body` asks the heap for on this thread.
    private func allocated(_ body: () -> Void) -> Int {
      let before = allocated_bytes()
      body()
      return Int(allocated_bytes() - before)
    }

    @Test func whatIsAllocatedIsCounted() {
      var kept: [UInt8] = []
      #expect(allocated { kept = [UInt8](repeating: 1, count: 50_000) } >= 50_000)
      #expect(allocated { kept[7] = 2 } == 0)
      // A copy on write is seen as well: this is what a held frame costs.
      let shared = kept
      #expect(allocated { kept[7] = 3 } >= 50_000)
      #expect(shared[7] == 2)
    }

    /// The frame on the screen and the one in the model are held, as the app does.
    @Test func aFrameCostsLessThanAKilobyteInSteadyState() async throws {
      let gate = FrameGate()
      let frame = Frame(640, 480)
      gate.open()
      var shown: RGBImage?
      var costs: [Int] = []
      for _ in 0..<12 {
        let waiting = Task { await gate.next() }
        while !gate.isAwaited { await Task.yield() }
        var isTaken = false
        costs.append(allocated { isTaken = frame.offered(to: gate, orientation: 6) })
        #expect(isTaken)
        shown = try #require(await waiting.value)
      }
      #expect(shown?.width == 480)
      print("bytes allocated for each frame: \(costs)")
      #expect(costs[..<3].allSatisfy { $0 >= 640 * 480 * 3 }, "each buffer is made once")
      #expect(costs[3...].allSatisfy { $0 < 1024 })
    }

    @Test func aFrameThatIsDroppedCostsNothing() {
      let gate = FrameGate()
      let frame = Frame(640, 480)
      gate.open()
      #expect(allocated { _ = frame.offered(to: gate) } == 0)
    }
  #endif
}
