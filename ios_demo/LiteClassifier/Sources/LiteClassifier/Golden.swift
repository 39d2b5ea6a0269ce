import Foundation

/// The record `golden.json`: inputs with the outputs that Python computed for them.
public struct Golden: Decodable, Equatable, Sendable {
  public let tolerance: Tolerance
  public let cases: [Case]

  public struct Case: Decodable, Equatable, Sendable {
    public let name: String
    public let inputs: [Tensor]
    public let expected: [SampledTensor]
  }

  /// Read and check a record; throw `VisionError` that names `file`.
  public static func read(_ json: Data, file: String) throws -> Golden {
    let golden = try readRecord(Golden.self, json, record: "golden.json", file: file)
    guard !golden.cases.isEmpty else {
      throw VisionError.damaged(
        file: file, why: "extra/golden.json: field cases: there is not one to compare")
    }
    return golden
  }
}

/// A tensor, or every `stride`-th value of a large one with figures of all of it.
public struct SampledTensor: Equatable, Sendable {
  /// Of the whole tensor.
  public let shape: [Int]
  public let dtype: DType
  /// The values at `start`, `start + stride`, ... of the tensor in C order.
  public let held: Tensor
  public let start: Int
  public let stride: Int
  /// Of all finite values; nil where there is none, or where every value is held.
  public let minimum: Double?
  public let maximum: Double?
  public let mean: Double?
  /// How many of all values are NaN or infinite.
  public let nonfinite: Int

  public var isWhole: Bool { stride == 1 }

  /// The values of a tensor of this shape at the places that are held.
  func places(of tensor: Tensor) -> Tensor {
    isWhole ? tensor : tensor.every(stride, from: start)
  }
}

extension SampledTensor: Decodable {
  enum CodingKeys: String, CodingKey {
    case shape, dtype, data, start, stride, minimum, maximum, mean, nonfinite
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    shape = try container.shape(.shape)
    dtype = try container.decode(DType.self, forKey: .dtype)
    start = try container.decodeIfPresent(Int.self, forKey: .start) ?? 0
    stride = try container.decodeIfPresent(Int.self, forKey: .stride) ?? 1
    minimum = try container.decodeIfPresent(Double.self, forKey: .minimum)
    maximum = try container.decodeIfPresent(Double.self, forKey: .maximum)
    mean = try container.decodeIfPresent(Double.self, forKey: .mean)
    nonfinite = try container.decodeIfPresent(Int.self, forKey: .nonfinite) ?? 0
    guard (1...1 << 26).contains(stride) else {
      throw DecodingError.dataCorruptedError(
        forKey: .stride, in: container, debugDescription: "\(stride) is no stride")
    }
    guard start == 0 || (1..<stride).contains(start) else {
      throw DecodingError.dataCorruptedError(
        forKey: .start, in: container, debugDescription: "start is not below stride")
    }
    let count = shape.reduce(1, *)
    // Places from `start` on, the last one included.
    let places = count > start ? (count - start + stride - 1) / stride : 0
    held = try container.tensor(.data, dtype: dtype, shape: stride == 1 ? shape : [places])
  }

  /// A tensor of which every value is held.
  public init(_ tensor: Tensor) {
    (shape, dtype, held) = (tensor.shape, tensor.dtype, tensor)
    (start, stride) = (0, 1)
    (minimum, maximum, mean, nonfinite) = (nil, nil, nil, 0)
  }
}

extension Tensor: Decodable {
  enum CodingKeys: String, CodingKey { case shape, dtype, data }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let shape = try container.shape(.shape)
    let dtype = try container.decode(DType.self, forKey: .dtype)
    self = try container.tensor(.data, dtype: dtype, shape: shape)
  }
}

extension KeyedDecodingContainer {
  /// Read the bytes of a tensor: base64, little-endian, in C order.
  fileprivate func tensor(_ key: Key, dtype: DType, shape: [Int]) throws -> Tensor {
    guard let data = Data(base64Encoded: try decode(String.self, forKey: key)) else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: self, debugDescription: "not base64")
    }
    guard let tensor = Tensor(dtype: dtype, shape: shape, bytes: [UInt8](data)) else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: self,
        debugDescription: "shape \(shape) of \(dtype.rawValue) does not fit \(data.count) bytes")
    }
    // Anything else is not a bool to everybody.
    guard dtype != .bool || tensor.bytes.allSatisfy({ $0 <= 1 }) else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: self, debugDescription: "a bool that is neither 0 nor 1")
    }
    return tensor
  }
}

/// Every record has a version of the contract; it is read before anything else.
private struct Versioned: Decodable {
  let version: String

  enum CodingKeys: String, CodingKey { case version = "schema_version" }
}

/// Read a record of our major version; throw `VisionError` that names the file and the field.
func readRecord<Record: Decodable>(
  _ type: Record.Type, _ json: Data, record: String, file: String
) throws -> Record {
  let decoder = JSONDecoder()
  do {
    let version = try decoder.decode(Versioned.self, from: json).version
    guard let major = Int(version.prefix { $0 != "." }) else {
      throw VisionError.damaged(
        file: file, why: "extra/\(record): field schema_version: “\(version)” is not a version")
    }
    guard major == Metadata.schemaMajor else {
      throw major > Metadata.schemaMajor
        ? VisionError.schemaNewer(file: file, version: version)
        : VisionError.schemaOlder(file: file, version: version)
    }
    return try decoder.decode(type, from: json)
  } catch let error as DecodingError {
    throw VisionError.damaged(file: file, why: "extra/\(record): \(describe(error))")
  }
}

private func describe(_ error: DecodingError) -> String {
  func named(_ path: [any CodingKey], _ what: String) -> String {
    let field = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    return field.isEmpty ? what : "field \(field): \(what)"
  }
  switch error {
  case .keyNotFound(let key, let context):
    return named(context.codingPath + [key], "it is missing")
  case .typeMismatch(let type, let context):
    return named(context.codingPath, "not of type \(type)")
  case .valueNotFound(_, let context):
    return named(context.codingPath, "it is null")
  case .dataCorrupted(let context):
    return named(
      context.codingPath, context.codingPath.isEmpty ? "not JSON" : context.debugDescription)
  @unknown default:
    return "not what the exporter writes"
  }
}
