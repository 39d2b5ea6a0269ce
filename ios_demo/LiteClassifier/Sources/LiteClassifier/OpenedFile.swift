import Foundation

/// A model file with its runtime and its records: what opening gives, and closing ends.
struct OpenedFile: Sendable {
  let file: URL
  let format: FileFormat
  let metadata: Metadata
  /// Wall-clock time that the runtime took, in ms.
  let loadMilliseconds: Double
  let sizeBytes: Int
  let runtime: any ModelRuntime
  /// The records behind a program; nil of a lite file, whose runtime reads them.
  private let program: ProgramFile?

  var name: String { file.lastPathComponent }

  /// Open `file` with the given runtime. Throws `VisionError`.
  ///
  /// The runtime does not see a file that is not vouched for as `trust` demands; nil demands nothing,
  /// and cannot tell whether a program is whole. Nor a program that its metadata were not written for.
  init(_ file: URL, runtime type: any ModelRuntime.Type, trust: Trust?) throws {
    let name = file.lastPathComponent
    let format = type.runs
    guard let size = try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize else {
      throw VisionError.cannotOpen(file: name, why: "there is no such file", format: format)
    }
    if let other = FileFormat.other(than: format, file) {
      throw VisionError.runtimeAbsent(file: name, format: other, remedy: Self.remedy(other))
    }
    try trust?.require(file)
    program = format == .lite ? nil : try ProgramFile(file, trust: trust)
    let (runtime, took) = try milliseconds {
      do {
        return try type.init(path: file.path)
      } catch {
        throw Self.failure(error, file: name, format: format, loading: true)
      }
    }
    (self.file, self.format, self.runtime) = (file, format, runtime)
    (sizeBytes, loadMilliseconds) = (size, took)
    let text = try program?.metadata ?? Self.record("metadata.json", of: runtime, file: name)
    metadata = try Metadata.read(text, file: name)
  }

  /// How an app takes in a runtime: `Runtime.xcconfig` and `Runtime.json` both call it so.
  private static func remedy(_ format: FileFormat) -> String {
    "Build it with MODEL_RUNTIME = \(format.setting)"
  }

  /// Read the golden vectors in the file. Throws `VisionError`.
  func golden() throws -> Golden {
    let text = try program?.golden ?? Self.record("golden.json", of: runtime, file: name)
    return try Golden.read(text, file: name)
  }

  /// Run the model on tensors; an error names the file.
  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    do {
      return try runtime.forward(inputs)
    } catch {
      throw Self.failure(error, file: name, format: format, loading: false)
    }
  }

  /// What a runtime's error means; `loading` before there is an input.
  private static func failure(
    _ error: any Error, file: String, format: FileFormat, loading: Bool
  ) -> VisionError {
    let text = readable(error)
    // What C++ and torch say when there is none left.
    if text.contains("bad_alloc") || text.contains("can't allocate memory") {
      return .outOfMemory(what: file)
    }
    let why = format == .program ? programError(text, loading: loading) : text
    return loading
      ? .cannotOpen(file: file, why: why, format: format)
      : .runFailed(file: file, why: why, format: format)
  }

  private static func record(_ record: String, of runtime: any ModelRuntime, file: String) throws
    -> Data
  {
    do {
      if let data = try runtime.extra(record) { return data }
    } catch {
      throw VisionError.damaged(file: file, why: "extra/\(record): \(readable(error))")
    }
    throw VisionError.missingRecord(file: file, record: record)
  }
}
