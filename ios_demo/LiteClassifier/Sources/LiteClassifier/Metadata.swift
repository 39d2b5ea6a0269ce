import Foundation

/// The record `metadata.json` of a model file: all this app knows about a model.
public struct Metadata: Decodable, Equatable, Sendable {
  /// The major version of the contract that is read here.
  static let schemaMajor = 2

  public let name: String
  /// What the outputs are for; nil where nobody said.
  public let task: VisionTask?
  public let input: Input
  public let preprocessing: Preprocessing?
  public let output: Output
  public let quantization: Quantization
  public let producedBy: ProducedBy
  public let runtimes: [RuntimeVerdict]
  public let tolerance: Tolerance
  public let format: FileFormat
  /// The program in front of the records; nil of a lite file.
  public let program: Program?

  enum CodingKeys: String, CodingKey {
    case name, task, input, preprocessing, output, quantization, runtimes, tolerance
    case format, program
    case producedBy = "produced_by"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    // Null where nobody said, but never left out.
    task = try container.decode(VisionTask?.self, forKey: .task)
    input = try container.decode(Input.self, forKey: .input)
    preprocessing = try container.decode(Preprocessing?.self, forKey: .preprocessing)
    output = try container.decode(Output.self, forKey: .output)
    quantization = try container.decode(Quantization.self, forKey: .quantization)
    producedBy = try container.decode(ProducedBy.self, forKey: .producedBy)
    runtimes = try container.decode([RuntimeVerdict].self, forKey: .runtimes)
    tolerance = try container.decode(Tolerance.self, forKey: .tolerance)
    format = try container.decodeIfPresent(FileFormat.self, forKey: .format) ?? .lite
    program = try container.decodeIfPresent(Program.self, forKey: .program)
    guard (format == .program) == (program != nil) else {
      throw DecodingError.dataCorruptedError(
        forKey: .program, in: container,
        debugDescription: "stated for a .pte, and for no other file")
    }
    guard case .image(let photo) = input else { return }
    guard let preprocessing, preprocessing.inGraph else {
      throw DecodingError.dataCorruptedError(
        forKey: .preprocessing, in: container,
        debugDescription: "a photo as input, but no preprocessing of it in the graph")
    }
    guard preprocessing.inputSize[0] == photo.color.channels else {
      throw DecodingError.dataCorruptedError(
        forKey: .preprocessing, in: container,
        debugDescription: "\(preprocessing.inputSize[0]) channels, and the photo is "
          + photo.color.rawValue)
    }
  }

  /// Sizes of a photo that the model takes, in pixels.
  public struct ImageBounds: Equatable, Sendable {
    public let minSide: Int
    public let maxSide: Int
    public let maxAspect: Int

    public init(minSide: Int, maxSide: Int, maxAspect: Int) {
      self.minSide = minSide
      self.maxSide = maxSide
      self.maxAspect = maxAspect
    }
  }

  /// A photo as input: uint8, height x width x channels.
  public struct ImageInput: Decodable, Equatable, Sendable {
    public let color: PhotoColor
    public let bounds: ImageBounds
    public let geometry: Geometry

    enum CodingKeys: String, CodingKey {
      case dtype, layout, color, geometry
      case minSide = "min_side"
      case maxSide = "max_side"
      case maxAspect = "max_aspect"
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      for (key, only) in [(CodingKeys.dtype, "uint8"), (.layout, "HWC")] {
        let stated = try container.decodeIfPresent(String.self, forKey: key) ?? only
        guard stated == only else {
          throw DecodingError.dataCorruptedError(
            forKey: key, in: container, debugDescription: "“\(stated)” is not “\(only)”")
        }
      }
      color = try container.decodeIfPresent(PhotoColor.self, forKey: .color) ?? .rgb
      // The contract's default of the aspect: it may be left out.
      let maxAspect = container.contains(.maxAspect) ? try container.side(.maxAspect) : 32
      let (minSide, maxSide) = (try container.side(.minSide), try container.side(.maxSide))
      guard minSide <= maxSide else {
        throw DecodingError.dataCorruptedError(
          forKey: .maxSide, in: container, debugDescription: "smaller than min_side, \(minSide)")
      }
      bounds = ImageBounds(minSide: minSide, maxSide: maxSide, maxAspect: maxAspect)
      geometry = try container.decode(Geometry.self, forKey: .geometry)
    }
  }

  /// What `forward` takes: a photo, or tensors that are preprocessed already.
  public enum Input: Decodable, Equatable, Sendable {
    case image(ImageInput)
    case tensors([InputTensor])

    enum CodingKeys: String, CodingKey { case kind, tensors }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      switch try container.decode(String.self, forKey: .kind) {
      case "image":
        self = .image(try ImageInput(from: decoder))
      case "tensor":
        let tensors = try container.decode([InputTensor].self, forKey: .tensors)
        guard !tensors.isEmpty, Set(tensors.map(\.name)).count == tensors.count else {
          throw DecodingError.dataCorruptedError(
            forKey: .tensors, in: container,
            debugDescription: tensors.isEmpty ? "no input" : "two inputs of one name")
        }
        self = .tensors(tensors)
      case let other:
        throw DecodingError.dataCorruptedError(
          forKey: .kind, in: container, debugDescription: "unknown kind of input “\(other)”")
      }
    }
  }

  /// One tensor that `forward` takes, and the range of values it is checked with.
  public struct InputTensor: Decodable, Equatable, Sendable {
    public let name: String
    public let shape: [Int]
    public let dtype: DType
    public let low: Double?
    public let high: Double?

    enum CodingKeys: String, CodingKey { case name, shape, dtype, low, high }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      name = try container.decode(String.self, forKey: .name)
      shape = try container.shape(.shape)
      dtype = try container.decodeIfPresent(DType.self, forKey: .dtype) ?? .float32
      low = try container.decodeIfPresent(Double.self, forKey: .low)
      high = try container.decodeIfPresent(Double.self, forKey: .high)
      func refuse(_ key: CodingKeys, _ why: String) -> DecodingError {
        DecodingError.dataCorruptedError(forKey: key, in: container, debugDescription: why)
      }
      if name.isEmpty { throw refuse(.name, "an input without a name") }
      if shape.contains(0) { throw refuse(.shape, "an input without elements") }
      switch (low, high) {
      case (nil, nil): break
      case (let low?, let high?) where low <= high: break
      case (_?, _?): throw refuse(.low, "low is above high")
      default: throw refuse(.low, "low and high are given together")
      }
    }
  }

  /// What the graph does to a photo; the app only plans its decoding size with it.
  public struct Preprocessing: Decodable, Equatable, Sendable {
    /// Channels, height and width of what the network sees.
    public let inputSize: [Int]
    public let cropFraction: Double
    public let inGraph: Bool

    enum CodingKeys: String, CodingKey {
      case inputSize = "input_size"
      case cropFraction = "crop_pct"
      case inGraph = "in_graph"
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      inputSize = try container.shape(.inputSize)
      cropFraction = try container.decode(Double.self, forKey: .cropFraction)
      inGraph = try container.decode(Bool.self, forKey: .inGraph)
      guard inputSize.count == 3, !inputSize.contains(0) else {
        throw DecodingError.dataCorruptedError(
          forKey: .inputSize, in: container, debugDescription: "not channels, height and width")
      }
      // What remains of the picture when it is cropped; the resize must have a size.
      let sides = inputSize.dropFirst().map { (Double($0) / cropFraction).rounded(.down) }
      guard cropFraction > 0, cropFraction <= 1e3, sides.allSatisfy({ $0 <= 16_777_216 }) else {
        throw DecodingError.dataCorruptedError(
          forKey: .cropFraction, in: container,
          debugDescription: "\(cropFraction) is no share of a picture")
      }
    }

    public init(inputSize: [Int], cropFraction: Double, inGraph: Bool = true) {
      self.inputSize = inputSize
      self.cropFraction = cropFraction
      self.inGraph = inGraph
    }
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

  /// Where a row of class scores is among the outputs.
  public struct ClassRow: Equatable, Sendable {
    /// Index of the output.
    public let output: Int
    /// The axis that classes lie along.
    public let axis: Int
  }

  /// The output that ranks classes for one photo: that of a classifier, with every dimension but
  /// the classes' of size 1. Nil where there is none.
  public var classRow: ClassRow? {
    guard task == .imageClassification || task == .multiLabelClassification else { return nil }
    for (index, tensor) in output.tensors.enumerated() {
      guard let axis = tensor.classAxis else { continue }
      let others = tensor.shape.indices.filter { $0 != axis }
      if others.allSatisfy({ tensor.shape[$0] == 1 }) { return ClassRow(output: index, axis: axis) }
    }
    return nil
  }

  /// Read and check a record; throw `VisionError` that names `file`.
  public static func read(_ json: Data, file: String) throws -> Metadata {
    let metadata = try readRecord(Metadata.self, json, record: "metadata.json", file: file)
    let places = metadata.output.tensors.compactMap { tensor in
      tensor.classAxis.map { tensor.shape[$0] }
    }
    // An axis of another number beside one that fits has no labels, which is fine.
    if let labels = metadata.output.labels, !places.isEmpty, !places.contains(labels.count) {
      throw VisionError.damaged(
        file: file,
        why:
          "extra/metadata.json: field output.labels: \(labels.count) labels for \(places[0]) classes"
      )
    }
    return metadata
  }
}

/// `|actual - expected| <= atol + rtol * |expected|` counts as equal.
public struct Tolerance: Decodable, Equatable, Sendable {
  public let atol: Double
  public let rtol: Double
  /// The `atol` of each output, where there are several; empty: `atol` is that of all.
  public let outputs: [Double]
  /// The share of an output's whole numbers that may be others: pixels of a class map whose two best
  /// scores lie within rounding of each other.
  public let flips: Double
  public let basis: String

  enum CodingKeys: String, CodingKey { case atol, rtol, outputs, flips, basis }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    atol = try container.decode(Double.self, forKey: .atol)
    rtol = try container.decode(Double.self, forKey: .rtol)
    outputs = try container.decodeIfPresent([Double].self, forKey: .outputs) ?? []
    flips = try container.decodeIfPresent(Double.self, forKey: .flips) ?? 0
    basis = try container.decode(String.self, forKey: .basis)
    guard (0...1).contains(flips) else {
      throw DecodingError.dataCorruptedError(
        forKey: .flips, in: container, debugDescription: "\(flips) is no share")
    }
    guard atol >= 0, rtol >= 0, outputs.allSatisfy({ $0 >= 0 }) else {
      throw DecodingError.dataCorruptedError(
        forKey: .atol, in: container, debugDescription: "a tolerance below zero")
    }
  }

  /// What the value `expected` of an output may differ by.
  func bound(_ expected: Double, output: Int) -> Double {
    (outputs.isEmpty ? atol : outputs[output % outputs.count]) + rtol * abs(expected)
  }
}
