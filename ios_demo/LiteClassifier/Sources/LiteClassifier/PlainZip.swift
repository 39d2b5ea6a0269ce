import Foundation

/// The bytes are not a zip that every reader reads alike; the message says what is odd.
struct OddZip: Error {
  let message: String

  init(_ message: String) { self.message = message }
}

/// The records of a zip in the plain form that `exporter` writes.
///
/// Zip readers disagree on crafted files, so what is verified here need not be what the runtime
/// loads. Record behind record from the first byte, then the directory, then the end, all saying
/// the same, with no extra field, comment, 64-bit size or size after the data: no choice is left.
/// `check_zip` of the Python side is the same idea with more forms. Behind an ExecuTorch program the
/// first byte is the one that the directory names: `start`.
struct PlainZip {
  /// One record; its name is below the top folder, as bytes: to Swift, two spellings of one letter
  /// are equal, to the runtime they are not.
  struct Record {
    let name: [UInt8]
    let size: Int
    let crc: UInt32
    let content: Range<Int>
    let isDeflated: Bool
  }

  let records: [Record]
  /// Bytes of the program in front of it; 0 where there is none.
  let start: Int
  private let data: Data

  init(_ data: Data) throws {
    self.data = data
    (records, start) = try data.withUnsafeBytes { try Directory(bytes: $0).records() }
  }

  /// The record of this name below the top folder; nil where there is none.
  func record(_ name: String) -> Record? { records.first { $0.name == Array(name.utf8) } }

  /// Whether a file begins as an ExecuTorch program does: "ET12" behind a flatbuffer's root.
  static func isProgram(_ bytes: some RandomAccessCollection<UInt8>) -> Bool {
    bytes.dropFirst(4).prefix(4).elementsEqual("ET12".utf8)
  }

  /// Whether the last bytes are the end of a zip without a comment.
  static func isEnd(_ bytes: Data) -> Bool {
    bytes.count >= 22 && bytes.suffix(22).starts(with: [0x50, 0x4B, 5, 6])
  }

  /// Unpack a record. Throws `OddZip` where it is damaged.
  func content(_ record: Record) throws -> Data {
    let start = data.startIndex
    let packed = data[start + record.content.lowerBound..<start + record.content.upperBound]
    if !record.isDeflated { return packed }
    guard let bytes = packed.withUnsafeBytes({ inflate($0, size: record.size) }) else {
      throw OddZip("a record is damaged")
    }
    return Data(bytes)
  }
}

private struct Directory {
  let bytes: UnsafeRawBufferPointer

  private func short(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }

  private func long(_ at: Int) -> Int { short(at) | short(at + 2) << 16 }

  private func isSignature(_ at: Int, _ third: UInt8, _ fourth: UInt8) -> Bool {
    bytes[at] == 0x50 && bytes[at + 1] == 0x4B && bytes[at + 2] == third && bytes[at + 3] == fourth
  }

  func records() throws -> ([PlainZip.Record], start: Int) {
    let end = bytes.count - 22
    guard end >= 0, isSignature(end, 5, 6), long(end + 4) == 0, short(end + 8) == short(end + 10),
      short(end + 20) == 0
    else { throw OddZip("it does not end with a zip's end record") }
    let (size, start) = (long(end + 12), long(end + 16))
    guard start + size == end else {
      throw OddZip("its directory does not lie where its end record says")
    }
    if size >= 20, isSignature(end - 20, 6, 7) { throw OddZip("it has a second end record") }
    var found: [PlainZip.Record] = []
    var names: Set<[UInt8]> = []
    var root: ArraySlice<UInt8>?
    let isBehind = PlainZip.isProgram(bytes) && size >= 46
    let first = isBehind ? long(start + 42) : 0
    guard !isBehind || first >= 8 else { throw OddZip("its records lie on its program") }
    var (position, offset) = (start, first)
    for _ in 0..<short(end + 8) {
      let (record, folder) = try record(at: position, offset: offset, bodyEnd: start, end: end)
      // torch's reader ignores case.
      let isNew = names.insert(record.name.map(lowercased)).inserted
      guard isNew, folder == root ?? folder else {
        throw OddZip("it holds two records of one name, or two folders")
      }
      root = folder
      found.append(record)
      position += 46 + short(position + 28)
      offset = record.content.upperBound
    }
    guard position == end, offset == start else {
      throw OddZip("it holds other bytes than records")
    }
    guard found.reduce(0, { $0 + $1.size }) <= 20 * (start - first) + 1 << 20 else {
      throw OddZip("it would unpack to far more than its size")
    }
    return (found, first)
  }

  /// Read one entry of the directory, and the header in front of its data, which has to say the same.
  private func record(at position: Int, offset: Int, bodyEnd: Int, end: Int) throws -> (
    PlainZip.Record, ArraySlice<UInt8>
  ) {
    guard position + 46 <= end, isSignature(position, 1, 2), long(position + 30) == 0,
      short(position + 34) == 0, position + 46 + short(position + 28) <= end
    else { throw OddZip("its directory is odd") }
    let nameSize = short(position + 28)
    let data = offset + 30 + nameSize
    guard data <= bodyEnd, long(position + 42) == offset, isSignature(offset, 3, 4),
      bytes[position + 6..<position + 32].elementsEqual(bytes[offset + 4..<offset + 30]),
      bytes[position + 46..<position + 46 + nameSize].elementsEqual(bytes[offset + 30..<data])
    else { throw OddZip("a record's header and the directory disagree") }
    let (stored, size, method) = (long(position + 20), long(position + 24), short(position + 10))
    // How hard the writer deflated, and that a name is UTF-8: nothing that changes what is read.
    let flags = short(position + 8) & ~(0b110 | 1 << 11)
    let name = Array(bytes[offset + 30..<data])
    guard flags == 0, method == 8 || (method == 0 && stored == size), stored != 0xFFFF_FFFF,
      size != 0xFFFF_FFFF, data + stored <= bodyEnd, isPlain(name)
    else { throw OddZip("a record is packed in an unknown way or has an odd name") }
    let slash = name.firstIndex(of: 0x2F)!
    return (
      PlainZip.Record(
        name: Array(name[(slash + 1)...]), size: size,
        crc: UInt32(truncatingIfNeeded: long(position + 16)), content: data..<data + stored,
        isDeflated: method == 8), name[..<slash]
    )
  }

  /// Two parts or more, none of them a step in the file system, without control characters.
  private func isPlain(_ name: [UInt8]) -> Bool {
    let parts = name.split(separator: 0x2F, omittingEmptySubsequences: false)
    let steps: [[UInt8]] = [[], [0x2E], [0x2E, 0x2E]]
    return parts.count > 1 && !parts.contains { steps.contains(Array($0)) }
      && !name.contains { $0 < 0x20 || $0 == 0x7F || $0 == 0x5C }
  }

  private func lowercased(_ byte: UInt8) -> UInt8 {
    (0x41...0x5A).contains(byte) ? byte + 32 : byte
  }
}
