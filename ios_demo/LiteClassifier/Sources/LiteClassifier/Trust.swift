import Foundation

#if canImport(CryptoKit)
  import CryptoKit
#endif

/// What verifying needs of a cryptographic library: CryptoKit in the app, OpenSSL in tests on Linux.
public protocol Cryptography: Sendable {
  /// 32 bytes.
  func sha256(_ data: Data) -> Data
  /// Whether `signature` (64 bytes) is the Ed25519 signature of `message` by `key` (32 bytes).
  func isSignature(_ signature: Data, of message: Data, by key: Data) -> Bool
}

#if canImport(CryptoKit)
  /// Apple's.
  public struct AppleCryptography: Cryptography {
    public init() {}

    public func sha256(_ data: Data) -> Data { Data(SHA256.hash(data: data)) }

    public func isSignature(_ signature: Data, of message: Data, by key: Data) -> Bool {
      guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: key) else {
        return false
      }
      return key.isValidSignature(signature, for: message)
    }
  }
#endif

/// Why a file is not vouched for; the raw value is what the fixtures call it.
public enum Doubt: String, CaseIterable, Sendable {
  case unsigned, unreadable
  case otherKey = "other-key"
  case wrongSignature = "wrong-signature"
  case otherRecords = "other-records"
  case oddZip = "odd-zip"
}

/// Who must have signed a model file before it is opened: minisign's public key, or anybody.
public struct Trust: Sendable {
  private let line: String
  let cryptography: any Cryptography

  /// - Parameter publicKey: the line `RW...`; a blank one demands nothing, and a mistyped one opens
  ///   nothing.
  public init(publicKey: String, cryptography: any Cryptography) {
    line = publicKey.trimmingCharacters(in: .whitespacesAndNewlines)
    self.cryptography = cryptography
  }

  /// Refuse `file` unless the key signed exactly the records in it. Throws `VisionError`.
  ///
  /// Everything in the file is read and hashed, nothing is loaded. Format:
  /// `runtime_check/signing.py`.
  func require(_ file: URL) throws {
    if line.isEmpty { return }
    guard let key = PublicKey(line) else { throw VisionError.badPublicKey(line) }
    let name = file.lastPathComponent
    let data: Data
    do {
      data = try Data(contentsOf: file, options: .mappedIfSafe)
    } catch {
      throw VisionError.cannotOpen(file: name, why: readable(error), format: .lite)
    }
    do {
      try vouch(PlainZip(data), data, key)
    } catch let error as OddZip {
      let why = "it is not a plain zip, \(error.message)"
      throw VisionError.notVouchedFor(file: name, key: shownID(key.id), doubt: .oddZip, why: why)
    } catch let error as Refusal {
      throw VisionError.notVouchedFor(
        file: name, key: shownID(key.id), doubt: error.doubt, why: error.why)
    }
  }

  private func vouch(_ zip: PlainZip, _ data: Data, _ key: PublicKey) throws {
    guard let manifestRecord = zip.record(Manifest.name),
      let signatureRecord = zip.record(Minisig.name)
    else { throw Refusal(.unsigned, "it is not signed") }
    guard manifestRecord.size <= 16 << 20 else {
      throw Refusal(.unreadable, "its manifest is too long")
    }
    let manifest = try zip.content(manifestRecord)
    guard signatureRecord.size <= 16 << 10,
      let claim = Minisig([UInt8](try zip.content(signatureRecord)))
    else { throw Refusal(.unreadable, "its signature cannot be read") }
    guard claim.id == key.id else {
      throw Refusal(.otherKey, "key \(shownID(claim.id)) signed it")
    }
    let (raw, comment) = (Data(key.key), Data(claim.signature + claim.comment))
    guard cryptography.isSignature(Data(claim.signature), of: manifest, by: raw),
      cryptography.isSignature(Data(claim.commentSignature), of: comment, by: raw)
    else { throw Refusal(.wrongSignature, "its signature does not fit") }
    guard let listed = Manifest([UInt8](manifest)) else {
      throw Refusal(.unreadable, "its manifest cannot be read")
    }
    var left = listed.hashes
    for found in zip.records where !Manifest.isOwn(found.name) {
      let hash = cryptography.sha256(try zip.content(found)).flatMap { hex($0) }
      if left.removeValue(forKey: found.name) != hash { throw changed(found.name) }
    }
    if let missing = left.keys.first { throw changed(missing) }
    // The metadata are signed, and the program's hash is in them.
    if zip.start > 0, (try? ProgramFile(zip, data, cryptography, file: "")) == nil {
      throw Refusal(.otherRecords, "its program is not as it was signed")
    }
  }

  private func changed(_ name: [UInt8]) -> Refusal {
    let shown = String(decoding: name, as: UTF8.self)
    return Refusal(.otherRecords, "its record \(shown) is not as it was signed")
  }
}

private struct Refusal: Error {
  let doubt: Doubt
  let why: String

  init(_ doubt: Doubt, _ why: String) {
    self.doubt = doubt
    self.why = why
  }
}

private struct PublicKey {
  let id: [UInt8]
  let key: [UInt8]

  init?(_ line: String) {
    guard let raw = exactBase64(Array(line.utf8), size: 42), raw.starts(with: "Ed".utf8) else {
      return nil
    }
    id = Array(raw[2..<10])
    key = Array(raw[10...])
  }
}

/// A minisign signature file of four lines. Nothing in it is verified yet.
private struct Minisig {
  static let name = "extra/manifest.txt.minisig"

  let id: [UInt8]
  let signature: [UInt8]
  let comment: [UInt8]
  let commentSignature: [UInt8]

  init?(_ data: [UInt8]) {
    let whole = data.last == newline ? data.dropLast() : data[...]
    let lines = whole.split(separator: newline, omittingEmptySubsequences: false)
    let trusted = Array("trusted comment: ".utf8)
    guard lines.count == 4, lines[0].starts(with: "untrusted comment: ".utf8),
      lines[2].starts(with: trusted), let raw = exactBase64(Array(lines[1]), size: 74),
      raw.starts(with: "Ed".utf8), let last = exactBase64(Array(lines[3]), size: 64)
    else { return nil }
    id = Array(raw[2..<10])
    signature = Array(raw[10...])
    comment = Array(lines[2].dropFirst(trusted.count))
    commentSignature = last
  }
}

/// The list of records with their SHA-256 in hex, as `sha256sum` writes it.
private struct Manifest {
  static let name = "extra/manifest.txt"

  private(set) var hashes: [[UInt8]: [UInt8]] = [:]

  static func isOwn(_ record: [UInt8]) -> Bool {
    record == Array(name.utf8) || record == Array(Minisig.name.utf8)
  }

  init?(_ data: [UInt8]) {
    guard data.last == newline else { return nil }
    let digits = Set("0123456789abcdef".utf8)
    for line in data.dropLast().split(separator: newline, omittingEmptySubsequences: false) {
      let (hash, name) = (Array(line.prefix(64)), Array(line.dropFirst(66)))
      guard hash.count == 64, hash.allSatisfy(digits.contains), !name.isEmpty,
        line.dropFirst(64).prefix(2).elementsEqual("  ".utf8), !Self.isOwn(name),
        hashes.updateValue(hash, forKey: name) == nil
      else { return nil }
    }
  }
}

private let newline = UInt8(ascii: "\n")

private func hex(_ byte: UInt8) -> [UInt8] {
  let digits = Array("0123456789abcdef".utf8)
  return [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
}

/// A key's id as minisign prints it.
private func shownID(_ id: [UInt8]) -> String {
  String(decoding: id.reversed().flatMap(hex), as: UTF8.self).uppercased()
}

/// Decode base64 of `size` bytes that has one spelling only; nil for anything else.
private func exactBase64(_ text: [UInt8], size: Int) -> [UInt8]? {
  guard let raw = Data(base64Encoded: Data(text)), raw.count == size,
    [UInt8](raw.base64EncodedData()) == text
  else { return nil }
  return [UInt8](raw)
}
