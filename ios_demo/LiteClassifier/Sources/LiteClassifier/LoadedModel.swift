import Foundation

/// The seam to the runtime: one open model file. Everything else in this package is plain Swift.
///
/// Calls may come from any thread. An error's `localizedDescription` is shown to the user.
public protocol ModelRuntime: AnyObject, Sendable {
  /// The version of torch behind it, as "2.1.0".
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
public struct Classification: Equatable, Sendable {
  public let predictions: [Prediction]
  /// Wall-clock time of `forward`, preprocessing included where it is in the graph.
  public let milliseconds: Double
  /// Memory of the whole app afterwards, in MB of 10^6 bytes; nil where it cannot be read.
  public let memoryMegabytes: Double?
  /// Size of the image that went in, after decoding.
  public let width: Int
  public let height: Int
}

/// A model file that is open, with its metadata read and checked.
public final class LoadedModel: Sendable {
  /// Classes that a classification names.
  static let shownClasses = 5

  public let file: URL
  public let metadata: Metadata
  public let loadMilliseconds: Double
  public let sizeBytes: Int
  private let runtime: any ModelRuntime

  var fileName: String { file.lastPathComponent }

  /// Open `file` with the given runtime. Throws `ModelError`, with a sentence for the user.
  ///
  /// The runtime does not see a file that is not vouched for as `trust` demands; nil demands nothing.
  public init(_ file: URL, runtime type: any ModelRuntime.Type, trust: Trust? = nil) throws {
    let name = file.lastPathComponent
    guard let size = try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize else {
      throw ModelError.unopened(file: name, why: "there is no such file")
    }
    try trust?.require(file)
    let (runtime, took) = try milliseconds {
      do {
        return try type.init(path: file.path)
      } catch {
        throw ModelError.unopened(file: name, why: readable(error))
      }
    }
    self.file = file
    self.runtime = runtime
    sizeBytes = size
    loadMilliseconds = took
    metadata = try Metadata.read(Self.record("metadata.json", of: runtime, file: name), file: name)
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
    try Golden.read(Self.record("golden.json", of: runtime, file: fileName), file: fileName)
  }

  /// Replay the golden vectors on this device.
  public func check() throws -> GoldenVerdict {
    try GoldenVerdict.replay(golden(), forward: forward)
  }

  /// Run the model on tensors; an error names the file.
  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    do {
      return try runtime.forward(inputs)
    } catch {
      throw ModelError.runtime(file: fileName, why: readable(error))
    }
  }

  /// Decode a photo as small as this model allows, and classify it.
  public func classify(_ photo: Photo) throws -> Classification {
    guard case .image(let bounds) = metadata.input else {
      throw ModelError.input(
        why: "\(fileName) takes tensors, not photos: it was exported with --input tensor. Export "
          + "it again without that to classify photos; its golden vectors and benchmark run here.")
    }
    let plan = DecodingPlan.plan(
      width: photo.width, height: photo.height, bounds: bounds,
      preprocessing: metadata.preprocessing)
    switch plan {
    case .refused(let refusal):
      throw ModelError.input(
        why: DecodingPlan.sentence(
          refusal, width: photo.width, height: photo.height, bounds: bounds))
    case .sample(let sample):
      return try classify(decoded: photo.decode(sample))
    }
  }

  private func classify(decoded image: RGBImage) throws -> Classification {
    let (output, took) = try milliseconds { try forward([image.tensor]) }
    return Classification(
      predictions: try LiteClassifier.predictions(
        output, metadata: metadata, file: fileName, k: Self.shownClasses),
      milliseconds: took, memoryMegabytes: residentMegabytes(), width: image.width,
      height: image.height)
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
