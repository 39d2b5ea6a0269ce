import Foundation

/// Makes upright RGB of camera frames, in buffers that are used again.
///
/// A frame that was handed out keeps its buffer as long as somebody holds it. There are three: one
/// for the frame on the screen, one for the frame in the model, one to be filled. In steady state
/// nothing is allocated; who holds more frames costs a new buffer for each.
public struct FrameConverter: Sendable {
  private var buffers: [[UInt8]] = [[], [], []]
  private var next = 0

  public init() {}

  /// Take rows of four-byte pixels, `rowStride` bytes apart, and turn them upright in one pass.
  ///
  /// - Parameters:
  ///   - width: of the frame as the camera has it, in pixels.
  ///   - height: likewise.
  ///   - orientation: EXIF's, 1 to 8.
  /// - Returns: nil when the memory is too short for the size, or rows are not whole pixels apart.
  public mutating func convert(
    pixels: UnsafeRawBufferPointer, width: Int, height: Int, rowStride: Int, order: PixelOrder,
    orientation: Int
  ) -> RGBImage? {
    guard width > 0, height > 0, rowStride >= width * 4, rowStride % 4 == 0,
      pixels.count >= (height - 1) * rowStride + width * 4
    else { return nil }
    let walk = UprightWalk(
      width: width, height: height, orientation: orientation, row: rowStride / 4)
    let size = width * height * 3
    next = (next + 1) % buffers.count
    if buffers[next].count != size { buffers[next] = [UInt8](repeating: 0, count: size) }
    buffers[next].withUnsafeMutableBufferPointer { Self.fill($0, pixels, walk, order) }
    return RGBImage(width: walk.width, height: walk.height, bytes: buffers[next])
  }

  private static func fill(
    _ out: UnsafeMutableBufferPointer<UInt8>, _ pixels: UnsafeRawBufferPointer, _ walk: UprightWalk,
    _ order: PixelOrder
  ) {
    let (red, green, blue) = order.offsets
    var target = 0
    for y in 0..<walk.height {
      var source = (walk.first + y * walk.down) * 4
      for _ in 0..<walk.width {
        out[target] = pixels[source + red]
        out[target + 1] = pixels[source + green]
        out[target + 2] = pixels[source + blue]
        target += 3
        source += walk.across * 4
      }
    }
  }
}

/// Hands camera frames to the one who waits for the next. All others are dropped before anything is
/// read of them, so that a busy model costs nothing.
public final class FrameGate: @unchecked Sendable {
  // Guards the rest; nothing is converted while it is held.
  private let lock = NSLock()
  private var isOpen = false
  private var waiting: CheckedContinuation<RGBImage?, Never>?
  /// Used by `offer` alone, which the camera's queue calls one after the other.
  private var converter = FrameConverter()

  public init() {}

  /// Whether the next frame that is offered will be taken.
  public var isAwaited: Bool { lock.withLock { waiting != nil } }

  /// Let frames through from now on.
  public func open() { lock.withLock { isOpen = true } }

  /// End for who waits, with nil, and for all who ask later.
  public func close() {
    lock.withLock { isOpen = false }
    answer(nil)
  }

  /// Wait for a frame; nil once the gate is closed, and for a second one who waits.
  public func next() async -> RGBImage? {
    await withCheckedContinuation { done in
      let waits = lock.withLock {
        guard isOpen, waiting == nil else { return false }
        waiting = done
        return true
      }
      if !waits { done.resume(returning: nil) }
    }
  }

  /// Convert a frame and hand it over, where somebody waits; the rest as in ``FrameConverter``.
  ///
  /// From one thread at a time. Returns whether the frame was taken.
  @discardableResult public func offer(
    pixels: UnsafeRawBufferPointer, width: Int, height: Int, rowStride: Int, order: PixelOrder,
    orientation: Int
  ) -> Bool {
    guard isAwaited else { return false }
    let frame = converter.convert(
      pixels: pixels, width: width, height: height, rowStride: rowStride, order: order,
      orientation: orientation)
    // A frame that cannot be read is no end: the next one may do.
    guard let frame else { return false }
    return answer(frame)
  }

  @discardableResult private func answer(_ frame: RGBImage?) -> Bool {
    let done = lock.withLock {
      defer { waiting = nil }
      return waiting
    }
    done?.resume(returning: frame)
    return done != nil
  }
}

/// How many frames a second get an answer, over the last ten.
struct FrameRate: Equatable, Sendable {
  private static let counted = 10
  private var times: [Double] = []

  /// Nil before the second answer.
  var perSecond: Double? {
    guard let first = times.first, let last = times.last, last > first else { return nil }
    return Double(times.count - 1) / (last - first)
  }

  /// Note that an answer came; `seconds` on any clock that does not jump.
  mutating func add(at seconds: Double) {
    times.append(seconds)
    if times.count > Self.counted { times.removeFirst() }
  }
}
