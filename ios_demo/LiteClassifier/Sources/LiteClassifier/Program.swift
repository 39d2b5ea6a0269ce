import Foundation

/// Which runtime runs a file; the raw value is the name in the metadata and the file's extension.
public enum FileFormat: String, Decodable, Sendable {
  case lite = "ptl"
  case program = "pte"

  /// What a file is by its first bytes: an ExecuTorch program, or else a lite file.
  public static func of(_ data: Data) -> FileFormat {
    PlainZip.isProgram(data) ? .program : .lite
  }

  /// The format of `file` where it is plainly another one than `expected`; nil also where it is none.
  static func other(than expected: FileFormat, _ file: URL) -> FileFormat? {
    guard let handle = try? FileHandle(forReadingFrom: file) else { return nil }
    defer { try? handle.close() }
    guard let head = try? handle.read(upToCount: 8) else { return nil }
    let found = of(head)
    let isZip = head.starts(with: [0x50, 0x4B, 3, 4])
    return found != expected && (found == .program || isZip) ? found : nil
  }

  var other: FileFormat { self == .lite ? .program : .lite }

  /// What runs it, as benchmarks name it.
  var runtime: String { self == .lite ? "lite interpreter" : "ExecuTorch" }

  /// What runs it, in a sentence.
  var maker: String { self == .lite ? "PyTorch's lite interpreter" : "ExecuTorch" }

  /// The value of MODEL_RUNTIME in `Runtime.xcconfig` and `Runtime.json`.
  var setting: String { self == .lite ? "lite" : "executorch" }

  /// What `python -m runtime_check --run-on` calls the runtime that phones have for it.
  var runOn: String { self == .lite ? "arm64-2.1.0" : "arm64-executorch" }
}

extension Metadata {
  /// The ExecuTorch program that a `.pte` begins with.
  public struct Program: Decodable, Equatable, Sendable {
    /// Pixels to the network's input, and the network.
    public static let preprocess = "preprocess"
    public static let forward = "forward"

    public let sha256: String
    public let bytes: Int
    public let methods: [String]

    enum CodingKeys: String, CodingKey { case sha256, bytes, methods }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      sha256 = try container.decode(String.self, forKey: .sha256)
      bytes = try container.decode(Int.self, forKey: .bytes)
      guard bytes >= 0 else {
        throw DecodingError.dataCorruptedError(
          forKey: .bytes, in: container, debugDescription: "\(bytes) is below zero")
      }
      methods = try container.decode([String].self, forKey: .methods)
      let known: Set = [Self.preprocess, Self.forward]
      guard methods.contains(Self.forward), known.isSuperset(of: methods) else {
        throw DecodingError.dataCorruptedError(
          forKey: .methods, in: container,
          debugDescription: "not “forward”, or “preprocess” and “forward”")
      }
    }
  }
}

/// A `.pte` read as data: the program's description, and the records in the zip behind it.
///
/// Nothing is loaded. The program is exactly the one the metadata were written for: as many bytes, of
/// the same SHA-256. The sentences are those of `runtime_check/artifact/archive.py`.
public struct ProgramFile: Sendable {
  public let program: Metadata.Program
  public let metadata: Data
  public let golden: Data

  /// Read `file` with the cryptography of `trust`, which must be there. Throws `VisionError`.
  init(_ file: URL, trust: Trust?) throws {
    guard let trust else {
      throw VisionError.cannotOpen(
        file: file.lastPathComponent, why: "no cryptography was given to hash its program with",
        format: .program)
    }
    try self.init(file, cryptography: trust.cryptography)
  }

  /// Read `file`. Throws `VisionError`.
  public init(_ file: URL, cryptography: any Cryptography) throws {
    let name = file.lastPathComponent
    do {
      let data = try Data(contentsOf: file, options: .mappedIfSafe)
      guard PlainZip.isProgram(data) else { throw OddZip(Self.none) }
      guard PlainZip.isEnd(data) else { throw OddZip(Self.alone) }
      try self.init(Self.zip(data), data, cryptography, file: name)
    } catch let error as OddZip {
      throw VisionError.damaged(file: name, why: error.message)
    } catch let error as VisionError {
      throw error
    } catch {
      throw VisionError.cannotOpen(file: name, why: readable(error), format: .program)
    }
  }

  init(_ zip: PlainZip, _ data: Data, _ cryptography: any Cryptography, file: String) throws {
    metadata = try Self.content(zip, "extra/metadata.json", most: 4 << 20)
    golden = try Self.content(zip, "extra/golden.json", most: 64 << 20)
    guard let program = try Metadata.read(metadata, file: file).program else {
      throw OddZip(
        "it is a .pte, and its metadata is of a .ptl: parts of two files were put together")
    }
    let hash = cryptography.sha256(data.prefix(zip.start))
    guard program.bytes == zip.start,
      hash.map({ String(format: "%02x", $0) }).joined() == program.sha256
    else {
      throw OddZip(
        "its program is not the one that the metadata was written for (SHA-256 of the first "
          + "\(zip.start) bytes)")
    }
    self.program = program
  }

  private static let none =
    "it does not begin as an ExecuTorch program does: it is not one, or it was cut off"
  private static let alone =
    "it is an ExecuTorch program (.pte) without metadata and golden vectors behind it: it was cut "
    + "off, or not made by this exporter"

  private static func zip(_ data: Data) throws -> PlainZip {
    do {
      return try PlainZip(data)
    } catch let error as OddZip {
      throw OddZip(
        "it is not the zip that this exporter writes, and zip readers could disagree on what it "
          + "holds: \(error.message)")
    }
  }

  private static func content(_ zip: PlainZip, _ name: String, most: Int) throws -> Data {
    guard let record = zip.record(name) else {
      throw OddZip(
        "it is a model file, but without extra/metadata.json or extra/golden.json: it was not made "
          + "by this exporter")
    }
    guard record.size <= most else {
      throw OddZip("\(name) claims \(record.size) bytes, and \(most) is the most that is read")
    }
    let data: Data
    do {
      data = try zip.content(record)
    } catch let error as OddZip {
      throw OddZip("\(name) cannot be read (\(error.message))")
    }
    guard crc32(data) == record.crc else {
      throw OddZip("\(name) cannot be read (its checksum is wrong)")
    }
    return data
  }
}

/// The checksum of zip files, ISO 3309's.
func crc32(_ data: Data) -> UInt32 {
  var value = ~UInt32(0)
  for byte in data {
    value = crcTable[Int((value ^ UInt32(byte)) & 0xFF)] ^ (value >> 8)
  }
  return ~value
}

private let crcTable: [UInt32] = (0...UInt32(UInt8.max)).map { index in
  var value = index
  for _ in 0..<8 {
    let carry: UInt32 = value & 1 == 1 ? 0xEDB8_8320 : 0
    value = (value >> 1) ^ carry
  }
  return value
}
