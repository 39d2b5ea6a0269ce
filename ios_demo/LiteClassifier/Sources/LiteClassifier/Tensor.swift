import Foundation

/// The element types that the artifact contract knows.
public enum DType: String, Codable, Sendable, CaseIterable {
  case uint8, int32, int64, float32, float64, bool

  /// Whether numbers are exact: integers, and true and false.
  public var isExact: Bool { self != .float32 && self != .float64 }

  /// Bytes one element takes.
  public var size: Int {
    switch self {
    case .uint8, .bool: 1
    case .int32, .float32: 4
    case .int64, .float64: 8
    }
  }
}

/// A dense tensor in C order, its elements little-endian as on every device we run on.
public struct Tensor: Equatable, Sendable {
  public let dtype: DType
  public let shape: [Int]
  public let bytes: [UInt8]

  /// Put bytes and shape together; nil when they do not fit each other.
  public init?(dtype: DType, shape: [Int], bytes: [UInt8]) {
    // A shape from a damaged file may overflow: that must not wrap around to a small product.
    var needed = dtype.size
    for extent in shape {
      let (product, overflow) = needed.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { return nil }
      needed = product
    }
    guard needed == bytes.count else { return nil }
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
  }

  /// How many elements there are.
  public var count: Int { bytes.count / dtype.size }

  /// All elements in order, as Double (exact for every type but very large int64).
  public var values: [Double] {
    switch dtype {
    case .uint8, .bool: bytes.map(Double.init)
    case .int32: elements(of: Int32.self).map(Double.init)
    case .int64: elements(of: Int64.self).map(Double.init)
    case .float32: elements(of: Float.self).map(Double.init)
    case .float64: elements(of: Double.self)
    }
  }

  /// The values along an axis that is not empty, once for every place along the others in C order.
  func rows(along axis: Int) -> [[Double]] {
    let values = self.values
    let size = shape[axis]
    let inner = shape[(axis + 1)...].reduce(1, *)
    return (0..<values.count / size).map { row in
      let first = row / inner * inner * size + row % inner
      return (0..<size).map { values[first + $0 * inner] }
    }
  }

  /// The elements at `start`, `start + stride`, ... in C order, as a tensor of one dimension.
  func every(_ stride: Int, from start: Int) -> Tensor {
    var picked: [UInt8] = []
    for place in Swift.stride(from: start, to: count, by: stride) {
      picked += bytes[place * dtype.size..<(place + 1) * dtype.size]
    }
    return Tensor(dtype: dtype, picked: picked)
  }

  /// The rows at these places of the first dimension, of which there is one.
  func rows(_ places: [Int]) -> Tensor {
    let size = bytes.count / max(1, shape[0])
    let picked = places.flatMap { bytes[$0 * size..<($0 + 1) * size] }
    return Tensor(dtype: dtype, shape: [places.count] + shape.dropFirst(), picked: picked)
  }

  private init(dtype: DType, picked: [UInt8]) {
    self.init(dtype: dtype, shape: [picked.count / dtype.size], picked: picked)
  }

  private init(dtype: DType, shape: [Int], picked: [UInt8]) {
    self.dtype = dtype
    self.shape = shape
    bytes = picked
  }

  private func elements<Element>(of type: Element.Type) -> [Element] {
    bytes.withUnsafeBytes { raw in
      (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * dtype.size, as: Element.self) }
    }
  }
}
