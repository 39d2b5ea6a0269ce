import Foundation

/// One output of a run with what the metadata says of it.
public struct NamedOutput: Equatable, Sendable {
  public let spec: OutputTensor
  public let tensor: Tensor
}

/// An embedding, and how similar the previous photo's is.
public struct Embedding: Equatable, Sendable {
  public let values: [Double]
  /// The cosine of the angle between the two, -1 to 1; nil where there is no other.
  public internal(set) var similarity: Double?

  /// The similarity with three decimals.
  public var text: String? { similarity.map { String(format: "%.3f", $0) } }
}

/// The cosine of the angle between two vectors; nil for other lengths, and where one has none.
public func cosineSimilarity(_ one: [Double], _ other: [Double]) -> Double? {
  guard one.count == other.count else { return nil }
  func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
  let lengths = (dot(one, one) * dot(other, other)).squareRoot()
  guard lengths.isFinite, lengths > 0 else { return nil }
  return min(max(dot(one, other) / lengths, -1), 1)
}

/// One number that a regression gives.
public struct Quantity: Equatable, Sendable, Identifiable {
  public let id: Int
  public let name: String
  public let value: Double
  public let unit: String?
  /// The number with its unit.
  public let text: String
}

/// A row of the table of outputs.
public struct OutputRow: Equatable, Sendable, Identifiable {
  public let name: String
  /// As "1 × 21 × 4".
  public let shape: String
  /// As "N × C × W"; empty for a scalar.
  public let axes: String
  public let dtype: String
  public let unit: String?
  public let figures: Figures

  public var id: String { name }

  /// Minimum, mean and maximum in words.
  public var range: String {
    guard let minimum = figures.minimum, let mean = figures.mean, let maximum = figures.maximum
    else { return "no finite value" }
    let numbers = "min \(decimal(minimum)), mean \(decimal(mean)), max \(decimal(maximum))"
    return unit.map { "\(numbers) \($0)" } ?? numbers
  }

  init(_ output: NamedOutput) {
    name = output.spec.name
    shape =
      output.tensor.shape.isEmpty
      ? "a scalar" : output.tensor.shape.map(String.init).joined(separator: " × ")
    axes = output.spec.axes.joined(separator: " × ")
    dtype = output.tensor.dtype.rawValue
    unit = output.spec.unit
    figures = Figures(output.tensor)
  }
}

/// How the outputs of a run are shown: by the task, and as a table where nothing else fits.
public enum VisionContent: Equatable, Sendable {
  case classes([Prediction])
  case classMap(Segmentation)
  case depth(DepthPicture)
  case boxes(Detections)
  case keyPoints([KeyPoint])
  case picture(MadePicture)
  case embedding(Embedding)
  case numbers([Quantity])
  case tensors([OutputRow])

  /// Numbers that a regression may have to be shown one by one.
  private static let mostQuantities = 16

  /// Choose for `outputs` of a photo that lies at `placement`. At most `k` classes are named.
  ///
  /// Returns the outputs that do not show in it as well, as rows of a table.
  static func of(
    _ outputs: [NamedOutput], metadata: Metadata, placement: Placement, k: Int
  ) -> (shown: VisionContent, others: [OutputRow]) {
    for (index, output) in outputs.enumerated() {
      guard let shown = ofOne(output, index, metadata, placement, k) else { continue }
      let others = outputs.indices.filter { $0 != index }
      return (shown, others.map { OutputRow(outputs[$0]) })
    }
    let ofAll: VisionContent? =
      switch metadata.task {
      case .objectDetection:
        Detections(outputs, placement, metadata.output).map { .boxes($0) }
      case .imageRegression:
        quantities(outputs, metadata.output).map { .numbers($0) }
      default:
        nil
      }
    return (ofAll ?? .tensors(outputs.map(OutputRow.init)), [])
  }

  /// What one output shows by itself for the task; nil where that is nothing.
  private static func ofOne(
    _ output: NamedOutput, _ index: Int, _ metadata: Metadata, _ placement: Placement, _ k: Int
  ) -> VisionContent? {
    let (spec, tensor) = (output.spec, output.tensor)
    switch metadata.task {
    case .imageClassification, .multiLabelClassification:
      guard let row = metadata.classRow, row.output == index, tensor.count > 0,
        tensor.count == tensor.shape[row.axis]
      else { return nil }
      return .classes(predictions(tensor, of: spec, output: metadata.output, k: k))
    case .imageSegmentation:
      guard let space = spec.space, let map = ClassMap(tensor, spec, metadata.output) else {
        return nil
      }
      let isPlaced = metadata.output.added.contains {
        $0.output == index && $0.function == .resize
      }
      return .classMap(Segmentation(map, on: space, placement, onlySeen: isPlaced))
    case .depthEstimation:
      guard spec.holds == .depth, let space = spec.space, let map = ValueMap(tensor, spec) else {
        return nil
      }
      return DepthPicture(map, on: space, placement, unit: spec.unit).map { .depth($0) }
    case .imageFeatureExtraction:
      return spec.holds == .embedding ? .embedding(Embedding(values: tensor.values)) : nil
    case .keypointDetection:
      return KeyPoint.all(tensor, spec, metadata.output, placement).map { .keyPoints($0) }
    case .imageToImage:
      return MadePicture(tensor, spec).map { .picture($0) }
    case .objectDetection, .imageRegression, nil:
      return nil
    }
  }

  private static func quantities(_ outputs: [NamedOutput], _ output: Output) -> [Quantity]? {
    var found: [Quantity] = []
    for one in outputs {
      for (index, value) in one.tensor.values.enumerated() {
        let single = one.tensor.count == 1
        let labels = outputs.count == 1 && output.labels?.count == one.tensor.count
        let name =
          labels ? output.label(index) : single ? one.spec.name : "\(one.spec.name) \(index + 1)"
        let text = one.spec.unit.map { "\(decimal(value)) \($0)" } ?? decimal(value)
        found.append(
          Quantity(id: found.count, name: name, value: value, unit: one.spec.unit, text: text))
        if found.count > mostQuantities { return nil }
      }
    }
    return found.isEmpty ? nil : found
  }

  /// Whether it is drawn, over the photo or beside it.
  public var isDrawn: Bool {
    switch self {
    case .classMap, .depth, .boxes, .keyPoints, .picture: true
    case .classes, .embedding, .numbers, .tensors: false
    }
  }

  /// The result in a few words: what is spoken, and what the live camera shows.
  public var summary: String {
    switch self {
    case .classes(let predictions):
      return predictions.first.map { "\($0.label), \($0.text)" } ?? "No class"
    case .classMap(let segmentation):
      let shares = segmentation.legend.prefix(3).map { "\($0.label) \(percent($0.share))" }
      return shares.isEmpty ? "Nothing is segmented" : shares.joined(separator: ", ")
    case .depth(let depth):
      return "Depth from \(decimal(depth.minimum)) to \(depth.text(depth.maximum))"
    case .boxes(let detections):
      let shown = detections.above(detections.threshold(nil))
      let best = shown.prefix(3).map(\.text).joined(separator: ", ")
      return shown.isEmpty
        ? "No object" : "\(shown.count) object\(shown.count == 1 ? "" : "s"): \(best)"
    case .keyPoints(let points):
      let names = points.prefix(3).map(\.label).joined(separator: ", ")
      return points.isEmpty
        ? "No point" : "\(points.count) point\(points.count == 1 ? "" : "s"): \(names)"
    case .picture(let made):
      return "A picture of \(made.image.width) × \(made.image.height) pixels"
    case .embedding(let embedding):
      return embedding.text.map { "Cosine similarity to the previous photo: \($0)" }
        ?? "Embedding of \(embedding.values.count) numbers"
    case .numbers(let quantities):
      return quantities.prefix(3).map { "\($0.name): \($0.text)" }.joined(separator: ", ")
    case .tensors(let rows):
      return "\(rows.count) output\(rows.count == 1 ? "" : "s"): "
        + rows.prefix(3).map { "\($0.name), \($0.shape)" }.joined(separator: "; ")
    }
  }
}
