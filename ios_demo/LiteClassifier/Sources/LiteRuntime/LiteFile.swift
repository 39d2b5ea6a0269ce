import Foundation
import LiteClassifier

// On Linux the C++ core is a module of this package; in the app it comes by the bridging header. One
// of the two implementations of `lite_core.h` is linked, torch's or ExecuTorch's.
#if canImport(LiteCore)
  import LiteCore
#endif

/// A message of the C++ core.
public struct LiteError: LocalizedError {
  public let message: String

  public var errorDescription: String? { message }
}

/// A model file opened by the runtime that is linked: torch's lite interpreter, or ExecuTorch.
///
/// The core takes calls from several threads and makes them wait for each other. It must not be
/// closed while it is used: here the last reference closes it, and every call holds one.
public final class LiteFile: ModelRuntime, @unchecked Sendable {
  private let handle: OpaquePointer

  /// Told by the engine, which only ExecuTorch calls so.
  public static var runs: FileFormat {
    String(cString: lite_engine()) == "xnnpack" ? .program : .lite
  }

  public static var version: String { String(cString: lite_torch_version()) }

  public static func setThreads(_ threads: Int) throws {
    try calling { lite_set_threads(Int32(clamping: threads), $0) == 0 ? () : nil }
  }

  public required init(path: String) throws {
    handle = try Self.calling { lite_open(path, $0) }
  }

  deinit {
    lite_close(handle)
  }

  public func extra(_ name: String) throws -> Data? {
    var data: UnsafeMutablePointer<CChar>?
    var size = 0
    let status = try Self.calling { error -> Int32? in
      let status = lite_extra(handle, name, &data, &size, error)
      return status < 0 ? nil : status
    }
    defer { lite_free(data) }
    guard status == 0, let data else { return nil }
    return Data(bytes: data, count: size)
  }

  public func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Self.withTensors(inputs) { tensors in
      try Self.calling { lite_forward(handle, tensors.baseAddress, tensors.count, $0) }
    }
    defer { lite_result_free(result) }
    return try (0..<lite_result_count(result)).map { index in
      try Self.tensor(lite_result_tensor(result, index), index: index)
    }
  }

  /// Call the core; throw its message when `body` returns nil.
  private static func calling<Result>(
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result?
  ) throws -> Result {
    var message: UnsafeMutablePointer<CChar>?
    let result = body(&message)
    defer { lite_free(message) }
    guard let result else {
      throw LiteError(message: message.map { String(cString: $0) } ?? "the runtime gave no reason")
    }
    return result
  }

  /// Lend the memory of `inputs` to `body` as the core's structs.
  private static func withTensors<Result>(
    _ inputs: [Tensor], _ body: (UnsafeBufferPointer<lite_tensor>) throws -> Result
  ) throws -> Result {
    func lend(_ rest: ArraySlice<Tensor>, _ lent: [lite_tensor]) throws -> Result {
      guard let next = rest.first else { return try lent.withUnsafeBufferPointer(body) }
      return try next.bytes.withUnsafeBytes { bytes in
        try next.shape.map(Int64.init).withUnsafeBufferPointer { shape in
          let tensor = lite_tensor(
            dtype: next.dtype.core, rank: Int32(shape.count), shape: shape.baseAddress,
            data: bytes.baseAddress)
          return try lend(rest.dropFirst(), lent + [tensor])
        }
      }
    }
    return try lend(inputs[...], [])
  }

  private static func tensor(_ view: lite_tensor, index: Int) throws -> Tensor {
    guard let dtype = DType.allCases.first(where: { $0.core == view.dtype }) else {
      throw LiteError(message: "output \(index) has an element type this app does not know")
    }
    let shape = UnsafeBufferPointer(start: view.shape, count: Int(view.rank)).map(Int.init)
    let size = shape.reduce(dtype.size, *)
    let bytes = [UInt8](UnsafeRawBufferPointer(start: view.data, count: size))
    guard let tensor = Tensor(dtype: dtype, shape: shape, bytes: bytes) else {
      throw LiteError(message: "output \(index) has an impossible shape")
    }
    return tensor
  }
}

extension DType {
  fileprivate var core: lite_dtype {
    switch self {
    case .uint8: LITE_UINT8
    case .int32: LITE_INT32
    case .int64: LITE_INT64
    case .float32: LITE_FLOAT32
    case .float64: LITE_FLOAT64
    case .bool: LITE_BOOL
    }
  }
}
