import Foundation

/// What is wrong with a model file, in words for the person who holds the phone.
public enum ModelError: Error, Equatable, LocalizedError {
  /// A record of the file is absent: not made by our exporter.
  case missing(file: String, record: String)
  /// Another major version of the contract than this app reads.
  case unsupported(file: String, record: String, version: String)
  /// The record cannot be read; `why` names the field where one is to blame.
  case damaged(file: String, record: String, why: String)
  /// The runtime cannot open it; `why` is the runtime's own message.
  case unopened(file: String, why: String)
  /// The runtime cannot run it on this input; `why` is the runtime's own message.
  case runtime(file: String, why: String)
  /// The key that is built in did not sign it; `why` says what is wrong.
  case notVouchedFor(file: String, key: String, doubt: Doubt, why: String)
  /// What is built in is no key.
  case badPublicKey(String)
  /// The file is fine, but this is not what it takes.
  case input(why: String)

  public var errorDescription: String? {
    switch self {
    case .missing(let file, let record):
      "\(file) has no \(record): it was not made by this project's exporter. "
        + "Export the model with “python -m exporter” and install it again."
    case .unsupported(let file, let record, let version):
      "\(file): \(record) has schema version \(version), and this app reads "
        + "\(Metadata.schemaMajor).x. "
        + (Self.isNewer(version)
          ? "Update the app." : "Export the model again with the current exporter.")
    case .damaged(let file, let record, let why):
      "\(file): \(record) cannot be read (\(why)). The file is damaged; install the model again."
    case .unopened(let file, let why):
      "\(file) could not be opened: it is damaged, or it needs operators that this app's runtime "
        + "does not have. Install the model again. The runtime says: \(why)"
    case .runtime(let file, let why):
      "\(file) could not be run: \(why)"
    case .notVouchedFor(let file, let key, _, let why):
      "\(file) was not opened: \(why), and this app takes only models that key \(key) signed. Get "
        + "the file again from those who sign it, or sign it: “python -m exporter sign FILE --key KEY”."
    case .badPublicKey(let text):
      "The public key built into this app (\(text.prefix(80))) is not one of minisign's, so no model "
        + "is opened. Build the app again with the line RW... of “python -m exporter keygen NAME”."
    case .input(let why):
      why
    }
  }

  private static func isNewer(_ version: String) -> Bool {
    (Int(version.prefix { $0 != "." }) ?? 0) > Metadata.schemaMajor
  }
}

/// The record `metadata.json` of a model file: all this app knows about a model.
public struct Metadata: Decodable, Equatable, Sendable {
  /// The major version of the contract that is read here.
  static let schemaMajor = 1

  public let name: String
  public let input: Input
  public let preprocessing: Preprocessing?
  public let output: Output
  public let quantization: Quantization
  public let producedBy: ProducedBy
  public let runtimes: [RuntimeVerdict]
  public let tolerance: Tolerance

  enum CodingKeys: String, CodingKey {
    case name, input, preprocessing, output, quantization, runtimes, tolerance
    case producedBy = "produced_by"
  }

  /// Sizes of a photo that the model takes, in pixels.
  public struct ImageBounds: Decodable, Equatable, Sendable {
    public let minSide: Int
    public let maxSide: Int
    public let maxAspect: Int

    enum CodingKeys: String, CodingKey {
      case minSide = "min_side"
      case maxSide = "max_side"
      case maxAspect = "max_aspect"
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      minSide = try container.decode(Int.self, forKey: .minSide)
      maxSide = try container.decode(Int.self, forKey: .maxSide)
      // The contract's default, for files from before the field existed.
      maxAspect = try container.decodeIfPresent(Int.self, forKey: .maxAspect) ?? 32
    }

    public init(minSide: Int, maxSide: Int, maxAspect: Int) {
      self.minSide = minSide
      self.maxSide = maxSide
      self.maxAspect = maxAspect
    }
  }

  /// What `forward` takes: a photo as uint8 RGB, height x width x 3, or bare tensors.
  public enum Input: Decodable, Equatable, Sendable {
    case image(ImageBounds)
    case tensors([TensorSpec])

    enum CodingKeys: String, CodingKey { case kind, tensors }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      switch try container.decode(String.self, forKey: .kind) {
      case "image":
        self = .image(try ImageBounds(from: decoder))
      case "tensor":
        self = .tensors(try container.decode([TensorSpec].self, forKey: .tensors))
      case let other:
        throw DecodingError.dataCorruptedError(
          forKey: .kind, in: container, debugDescription: "unknown kind of input “\(other)”")
      }
    }
  }

  public struct TensorSpec: Decodable, Equatable, Sendable {
    public let shape: [Int]
    public let dtype: DType
  }

  /// What the graph does to a photo; the app only plans its decoding size with it.
  public struct Preprocessing: Decodable, Equatable, Sendable {
    public let inputSize: [Int]
    public let cropFraction: Double

    enum CodingKeys: String, CodingKey {
      case inputSize = "input_size"
      case cropFraction = "crop_pct"
    }
  }

  public struct Output: Decodable, Equatable, Sendable {
    public enum Activation: String, Decodable, Sendable { case softmax, sigmoid, none }

    public let activation: Activation
    public let labels: [String]?
    public let tensors: [TensorSpec]
  }

  public struct Quantization: Decodable, Equatable, Sendable {
    public let method: String
  }

  public struct ProducedBy: Decodable, Equatable, Sendable {
    public let exporter: String
    public let torch: String
  }

  public struct RuntimeVerdict: Decodable, Equatable, Sendable {
    public let runtime: String
    public let compatible: Bool
  }

  /// Read and check a record; throw `ModelError` that names `file`.
  public static func read(_ json: Data, file: String) throws -> Metadata {
    let metadata = try readRecord(Metadata.self, json, record: "metadata.json", file: file)
    if let labels = metadata.output.labels, let classes = metadata.output.tensors.first?.shape.last,
      labels.count != classes
    {
      throw ModelError.damaged(
        file: file, record: "metadata.json",
        why: "field output.labels: \(labels.count) labels for \(classes) classes")
    }
    return metadata
  }
}

/// `|actual - expected| <= atol + rtol * |expected|` counts as equal.
public struct Tolerance: Decodable, Equatable, Sendable {
  public let atol: Double
  public let rtol: Double
  public let basis: String
}

/// The record `golden.json`: inputs with the outputs that Python computed for them.
public struct Golden: Decodable, Equatable, Sendable {
  public let tolerance: Tolerance
  public let cases: [Case]

  public struct Case: Decodable, Equatable, Sendable {
    public let name: String
    public let inputs: [Tensor]
    public let expected: [Tensor]
  }

  /// Read and check a record; throw `ModelError` that names `file`.
  public static func read(_ json: Data, file: String) throws -> Golden {
    let golden = try readRecord(Golden.self, json, record: "golden.json", file: file)
    guard !golden.cases.isEmpty else {
      throw ModelError.damaged(
        file: file, record: "golden.json", why: "field cases: there is not one to compare")
    }
    return golden
  }
}

extension Tensor: Decodable {
  enum CodingKeys: String, CodingKey { case shape, dtype, data }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let shape = try container.decode([Int].self, forKey: .shape)
    let dtype = try container.decode(DType.self, forKey: .dtype)
    guard let data = Data(base64Encoded: try container.decode(String.self, forKey: .data)) else {
      throw DecodingError.dataCorruptedError(
        forKey: .data, in: container, debugDescription: "not base64")
    }
    guard let tensor = Tensor(dtype: dtype, shape: shape, bytes: [UInt8](data)) else {
      throw DecodingError.dataCorruptedError(
        forKey: .shape, in: container,
        debugDescription: "shape \(shape) of \(dtype.rawValue) does not fit \(data.count) bytes")
    }
    self = tensor
  }
}

/// Every record has a version of the contract; it is read before anything else.
private struct Versioned: Decodable {
  let version: String

  enum CodingKeys: String, CodingKey { case version = "schema_version" }
}

private func readRecord<Record: Decodable>(
  _ type: Record.Type, _ json: Data, record: String, file: String
) throws -> Record {
  let decoder = JSONDecoder()
  do {
    let version = try decoder.decode(Versioned.self, from: json).version
    guard let major = Int(version.prefix { $0 != "." }) else {
      throw ModelError.damaged(
        file: file, record: record, why: "field schema_version: “\(version)” is not a version")
    }
    guard major == Metadata.schemaMajor else {
      throw ModelError.unsupported(file: file, record: record, version: version)
    }
    return try decoder.decode(type, from: json)
  } catch let error as DecodingError {
    throw ModelError.damaged(file: file, record: record, why: describe(error))
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
