import Foundation

/// What a model's outputs are for, by the names that Hugging Face's pipelines use.
public enum VisionTask: String, Decodable, Sendable {
  case imageClassification = "image-classification"
  case multiLabelClassification = "multi-label-classification"
  case imageRegression = "image-regression"
  case imageFeatureExtraction = "image-feature-extraction"
  case imageSegmentation = "image-segmentation"
  case depthEstimation = "depth-estimation"
  case imageToImage = "image-to-image"
  case keypointDetection = "keypoint-detection"
  case objectDetection = "object-detection"
}

/// One tensor that `forward` returns. `shape` is that for the first golden input.
public struct OutputTensor: Decodable, Equatable, Sendable {
  /// What the numbers are: boxes are x1, y1, x2, y2; a class map has a class for every pixel, a
  /// class index is one for every box.
  public enum Holds: String, Decodable, Sendable {
    case scores, logits, probabilities, mask, embedding, depth, image, keypoints, boxes, values
    case classMap = "class_map"
    case classIndex = "class_index"
  }

  /// Which picture pixels or coordinates lie on.
  public enum Space: String, Decodable, Sendable { case photo, network }

  public let name: String
  public let shape: [Int]
  public let dtype: DType
  /// A word for each dimension: N, C, H, W, classes, boxes, features, or a number.
  public let axes: [String]
  public let holds: Holds
  public let unit: String?
  public let space: Space?
  /// Whether the shape depends on what the input holds, or on its size.
  public let varies: Bool

  enum CodingKeys: String, CodingKey {
    case name, shape, dtype, axes, holds, unit, space, varies
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    shape = try container.shape(.shape)
    dtype = try container.decodeIfPresent(DType.self, forKey: .dtype) ?? .float32
    axes = try container.decode([String].self, forKey: .axes)
    holds = try container.decodeIfPresent(Holds.self, forKey: .holds) ?? .values
    unit = try container.decodeIfPresent(String.self, forKey: .unit)
    space = try container.decodeIfPresent(Space.self, forKey: .space)
    varies = try container.decodeIfPresent(Bool.self, forKey: .varies) ?? false
    guard !name.isEmpty else {
      throw DecodingError.dataCorruptedError(
        forKey: .name, in: container, debugDescription: "an output without a name")
    }
    guard axes.count == shape.count else {
      throw DecodingError.dataCorruptedError(
        forKey: .axes, in: container,
        debugDescription: "\(axes.count) axes for a shape of \(shape.count)")
    }
    guard axes.allSatisfy({ (1...30).contains($0.unicodeScalars.count) }) else {
      throw DecodingError.dataCorruptedError(
        forKey: .axes, in: container, debugDescription: "an axis is a word or a number")
    }
  }

  /// The axis that classes lie along; nil where there is none.
  public var classAxis: Int? {
    switch holds {
    case .scores, .logits, .probabilities:
      axes.firstIndex { $0 == "classes" || $0 == "C" }
    default:
      nil
    }
  }

  /// The axis of rows and that of columns, of a map of pixels.
  var mapAxes: (rows: Int, columns: Int)? {
    guard let rows = axes.firstIndex(of: "H"), let columns = axes.firstIndex(of: "W") else {
      return nil
    }
    return (rows, columns)
  }
}

/// What `forward` returns.
public struct Output: Decodable, Equatable, Sendable {
  public enum Returned: String, Decodable, Sendable { case tensor, list }

  /// What the exporter added to one of the network's outputs.
  public struct Step: Decodable, Equatable, Sendable {
    public enum Function: String, Decodable, Sendable {
      case softmax, sigmoid, argmax, resize, normalize
    }

    public let output: Int
    public let function: Function
    public let axis: Int?
  }

  /// What decides which boxes a detector gives; nil where nobody said.
  public struct Detection: Decodable, Equatable, Sendable {
    public let scoreThreshold: Double?
    public let iouThreshold: Double?
    public let maxDetections: Int?

    enum CodingKeys: String, CodingKey {
      case scoreThreshold = "score_threshold"
      case iouThreshold = "iou_threshold"
      case maxDetections = "max_detections"
    }
  }

  /// One tensor, or a list of them.
  public let returned: Returned
  /// In the order they are returned in.
  public let tensors: [OutputTensor]
  public let added: [Step]
  /// One per class: names of the places along a class axis, or of the numbers of a class map.
  public let labels: [String]?
  /// Of a detector whose limits are known.
  public let detection: Detection?

  enum CodingKeys: String, CodingKey { case returned, tensors, added, labels, detection }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    returned = try container.decode(Returned.self, forKey: .returned)
    tensors = try container.decode([OutputTensor].self, forKey: .tensors)
    added = try container.decodeIfPresent([Step].self, forKey: .added) ?? []
    labels = try container.decodeIfPresent([String].self, forKey: .labels)
    detection = try container.decodeIfPresent(Detection.self, forKey: .detection)
    func refuse(_ key: CodingKeys, _ why: String) -> DecodingError {
      DecodingError.dataCorruptedError(forKey: key, in: container, debugDescription: why)
    }
    if tensors.isEmpty { throw refuse(.tensors, "no output") }
    if let most = detection?.maxDetections, most < 1 {
      throw refuse(.detection, "at most \(most) boxes")
    }
    if Set(tensors.map(\.name)).count != tensors.count {
      throw refuse(.tensors, "two outputs of one name")
    }
    if returned == .tensor && tensors.count != 1 {
      throw refuse(.returned, "one tensor returned, and \(tensors.count) described")
    }
    for step in added where !tensors.indices.contains(step.output) {
      throw refuse(.added, "a step added to output \(step.output) of \(tensors.count)")
    }
  }

  /// The name of a class; its number where none is known.
  ///
  /// `places` is how many there are along the class axis: labels of another number are not its own.
  public func label(_ index: Int, places: Int? = nil) -> String {
    guard let labels, labels.indices.contains(index), places ?? labels.count == labels.count else {
      return "class \(index)"
    }
    return labels[index]
  }
}

extension KeyedDecodingContainer {
  /// Read the shape of a tensor: at most 8 dimensions and 2^26 elements, as the contract allows.
  func shape(_ key: Key) throws -> [Int] {
    let shape = try decode([Int].self, forKey: key)
    var elements = 1
    for size in shape {
      // An empty dimension does not make the others harmless.
      let (product, overflow) = elements.multipliedReportingOverflow(by: max(size, 1))
      guard size >= 0, !overflow, product <= 1 << 26, shape.count <= 8 else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: self, debugDescription: "\(shape) is no shape of a tensor")
      }
      elements = product
    }
    return shape
  }
}
