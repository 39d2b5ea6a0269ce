import Foundation

/// The seam to the runtime: one open model file. Everything else in this package is plain Swift.
///
/// Calls may come from any thread. An error's `localizedDescription` is shown to the user.
public protocol ModelRuntime: AnyObject, Sendable {
  /// Which files it runs.
  static var runs: FileFormat { get }
  /// The version of torch or ExecuTorch behind it, as "2.1.0".
  static var version: String { get }
  /// Set how many threads one inference may use, for the whole process.
  static func setThreads(_ threads: Int) throws
  /// Open the file at `path`; it stays open as long as this object lives.
  init(path: String) throws
  /// Read the record `extra/NAME` of the file; nil when there is none.
  func extra(_ name: String) throws -> Data?
  /// Run the model.
  func forward(_ inputs: [Tensor]) throws -> [Tensor]
}

/// A photo that can be decoded at several sizes.
public struct Photo: Sendable {
  /// Size of the upright photo in pixels.
  public let width: Int
  public let height: Int
  /// Decode upright, both sides divided by the given power of two.
  public let decode: @Sendable (_ sample: Int) throws -> RGBImage

  public init(
    width: Int, height: Int, decode: @escaping @Sendable (_ sample: Int) throws -> RGBImage
  ) {
    self.width = width
    self.height = height
    self.decode = decode
  }

  /// Take an image that is decoded already, such as a camera frame.
  public init(_ image: RGBImage) {
    self.init(width: image.width, height: image.height) { image.shrunk($0) }
  }
}

extension RGBImage {
  /// Average squares of `sample` x `sample` pixels into one; what is left at the edges is dropped.
  func shrunk(_ sample: Int) -> RGBImage {
    guard sample > 1 else { return self }
    let (newWidth, newHeight) = (width / sample, height / sample)
    let area = sample * sample
    var out: [UInt8] = []
    out.reserveCapacity(newWidth * newHeight * 3)
    for y in 0..<newHeight {
      for x in 0..<newWidth {
        var sums = (0, 0, 0)
        for row in y * sample..<(y + 1) * sample {
          var source = (row * width + x * sample) * 3
          for _ in 0..<sample {
            sums.0 += Int(bytes[source])
            sums.1 += Int(bytes[source + 1])
            sums.2 += Int(bytes[source + 2])
            source += 3
          }
        }
        out.append(UInt8((sums.0 + area / 2) / area))
        out.append(UInt8((sums.1 + area / 2) / area))
        out.append(UInt8((sums.2 + area / 2) / area))
      }
    }
    // A square larger than the image leaves nothing to average; no plan asks for that.
    return RGBImage(width: newWidth, height: newHeight, bytes: out) ?? self
  }
}

/// What a model made of a photo, and what that took.
public struct RunResult: Equatable, Sendable {
  /// In the metadata's order.
  public let outputs: [NamedOutput]
  /// How they are shown.
  public internal(set) var presentation: Presentation
  /// The outputs that do not show in the presentation.
  public let others: [OutputRow]
  /// Wall-clock time of `forward`, preprocessing included where it is in the graph.
  public let milliseconds: Double
  /// Memory of the whole app afterwards, in MB of 10^6 bytes; nil where it cannot be read.
  public let memoryMegabytes: Double?
  /// Size of the image that went in, after decoding. What is drawn over the photo lies on it.
  public let width: Int
  public let height: Int

  /// Say how similar the embedding is to another photo's; any other result stays as it is.
  func compared(to other: RunResult?) -> RunResult {
    guard case .embedding(var mine) = presentation,
      case .embedding(let theirs)? = other?.presentation
    else { return self }
    mine.similarity = cosineSimilarity(mine.values, theirs.values)
    var result = self
    result.presentation = .embedding(mine)
    return result
  }
}

/// A model file that is open, with its metadata read and checked.
public final class LoadedModel: Sendable {
  /// Classes that a classifier's result names.
  static let shownClasses = 5

  public let file: URL
  public let metadata: Metadata
  public let loadMilliseconds: Double
  public let sizeBytes: Int
  private let runtime: any ModelRuntime
  /// The records behind a program; nil of a lite file, whose runtime reads them.
  private let program: ProgramFile?

  var fileName: String { file.lastPathComponent }

  /// Open `file` with the given runtime. Throws `ModelError`, with a sentence for the user.
  ///
  /// The runtime does not see a file that is not vouched for as `trust` demands; nil demands nothing,
  /// and cannot tell whether a program is whole. Nor a program that its metadata were not written for.
  public init(_ file: URL, runtime type: any ModelRuntime.Type, trust: Trust? = nil) throws {
    let name = file.lastPathComponent
    guard let size = try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize else {
      throw ModelError.unopened(file: name, why: "there is no such file")
    }
    if let other = FileFormat.other(than: type.runs, file) {
      throw ModelError.otherRuntime(file: name, format: other)
    }
    try trust?.require(file)
    program = type.runs == .lite ? nil : try ProgramFile(file, trust: trust)
    let (runtime, took) = try milliseconds {
      do {
        return try type.init(path: file.path)
      } catch {
        throw ModelError.unopened(file: name, why: type.runs.words(error, loading: true))
      }
    }
    self.file = file
    self.runtime = runtime
    sizeBytes = size
    loadMilliseconds = took
    let text = try program?.metadata ?? Self.record("metadata.json", of: runtime, file: name)
    metadata = try Metadata.read(text, file: name)
  }

  private static func record(_ record: String, of runtime: any ModelRuntime, file: String) throws
    -> Data
  {
    do {
      if let data = try runtime.extra(record) { return data }
    } catch {
      throw ModelError.damaged(file: file, record: record, why: readable(error))
    }
    throw ModelError.missing(file: file, record: record)
  }

  /// Read the golden vectors in the file.
  public func golden() throws -> Golden {
    let text = try program?.golden ?? Self.record("golden.json", of: runtime, file: fileName)
    return try Golden.read(text, file: fileName)
  }

  /// Replay the golden vectors on this device.
  public func check() throws -> GoldenVerdict {
    let classes = metadata.classRow
    let found = classes == nil ? FoundRows(metadata.output) : nil
    return try GoldenVerdict.replay(golden(), classes: classes, found: found, forward: forward)
  }

  /// Run the model on tensors; an error names the file.
  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    do {
      return try runtime.forward(inputs)
    } catch {
      let format: FileFormat = program == nil ? .lite : .program
      throw ModelError.runtime(file: fileName, why: format.words(error, loading: false))
    }
  }

  /// Why this model takes no photo, in a sentence; nil where it takes one.
  public var photoRefusal: String? {
    guard case .tensors(let tensors) = metadata.input else { return nil }
    return refusal(tensors)
  }

  private func refusal(_ tensors: [Metadata.InputTensor]) -> String {
    let wanted = tensors.map { tensor in
      let shape = tensor.shape.map(String.init).joined(separator: " × ")
      return "\(tensor.name): \(tensor.dtype.rawValue) \(shape)"
    }
    return "\(fileName) takes tensors, not photos (\(wanted.joined(separator: ", "))): it was "
      + "exported with --input tensor. Export it again without that to use photos; its golden "
      + "vectors and its benchmark run here."
  }

  /// Decode a photo as small as this model allows, and run the model on it.
  public func run(_ photo: Photo) throws -> RunResult {
    let input: Metadata.ImageInput
    switch metadata.input {
    case .tensors(let tensors): throw ModelError.input(why: refusal(tensors))
    case .image(let photo): input = photo
    }
    let plan = DecodingPlan.plan(
      width: photo.width, height: photo.height, bounds: input.bounds,
      preprocessing: metadata.preprocessing)
    switch plan {
    case .refused(let refusal):
      throw ModelError.input(
        why: DecodingPlan.sentence(
          refusal, width: photo.width, height: photo.height, bounds: input.bounds))
    case .sample(let sample):
      return try run(decoded: photo.decode(sample), input)
    }
  }

  private func run(decoded image: RGBImage, _ input: Metadata.ImageInput) throws -> RunResult {
    let (tensors, took) = try milliseconds { try forward([image.tensor(input.color)]) }
    let outputs = try named(tensors)
    let (shown, others) = Presentation.of(
      outputs, metadata: metadata,
      placement: input.geometry.place(height: image.height, width: image.width),
      k: Self.shownClasses)
    return RunResult(
      outputs: outputs, presentation: shown, others: others,
      milliseconds: took, memoryMegabytes: residentMegabytes(), width: image.width,
      height: image.height)
  }

  /// Put the metadata's words to what came out. Throws `ModelError` where the two do not fit.
  private func named(_ tensors: [Tensor]) throws -> [NamedOutput] {
    let specs = metadata.output.tensors
    guard tensors.count == specs.count else {
      throw ModelError.runtime(
        file: fileName,
        why: "\(tensors.count) outputs came, and field output.tensors describes \(specs.count).")
    }
    return try zip(specs, tensors).enumerated().map { index, pair in
      let (spec, tensor) = pair
      let fits =
        spec.varies ? tensor.shape.count == spec.shape.count : tensor.shape == spec.shape
      guard fits, tensor.dtype == spec.dtype else {
        throw ModelError.runtime(
          file: fileName,
          why: "field output.tensors.\(index) (\(spec.name)): \(tensor.dtype.rawValue) of shape "
            + "\(tensor.shape) came, and it says \(spec.dtype.rawValue) of \(spec.shape).")
      }
      return NamedOutput(spec: spec, tensor: tensor)
    }
  }
}

/// An error's text without what torch appends for its own developers.
func readable(_ error: any Error) -> String {
  var text = error.localizedDescription
  if let handles = text.range(of: "Debug info for handle") {
    text = String(text[..<handles.lowerBound])
  }
  text = text.trimmingCharacters(in: .whitespacesAndNewlines)
  return text.count > 400 ? String(text.prefix(400)) + " …" : text
}
