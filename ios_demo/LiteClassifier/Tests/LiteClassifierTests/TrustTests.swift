import Foundation
import TestCryptography
import Testing

@testable import LiteClassifier

/// A stretch of the good file, [start, count], or bytes that are new.
enum Piece: Decodable, Sendable {
  case stretch(Int, Int)
  case new(Data)

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let text = try? container.decode(String.self) {
      self = .new(try #require(Data(base64Encoded: text)))
    } else {
      let numbers = try container.decode([Int].self)
      self = .stretch(numbers[0], numbers[1])
    }
  }
}

extension [Piece] {
  /// The file that these are pieces of, where `good` is the good one.
  func file(of good: Data) -> Data {
    reduce(into: Data()) { made, piece in
      switch piece {
      case .stretch(let start, let count): made += good[start..<start + count]
      case .new(let bytes): made += bytes
      }
    }
  }
}

/// `signed.json`: files and what a reader that trusts the key says of them.
private struct SignedFiles: Decodable {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let verdict: String
    let pieces: [Piece]

    var testDescription: String { name }
  }

  let publicKey: String
  let otherPublicKey: String
  let keyId: String
  let good: String
  let cases: [Case]

  static func read() throws -> SignedFiles { try Fixtures.read(Self.self, "signed.json") }

  var goodFile: Data { get throws { try #require(Data(base64Encoded: good)) } }

  func file(_ one: Case) throws -> Data { one.pieces.file(of: try goodFile) }
}

/// The verdict on a file's bytes, in the fixtures' words.
private func verdict(_ data: Data, key: String) throws -> String {
  let folder = try ModelFolder([:])
  let file = folder.file("tiny.ptl")
  try data.write(to: file)
  do {
    try Trust(publicKey: key, cryptography: cryptography).require(file)
    return "signed"
  } catch let error as VisionError {
    guard case .notVouchedFor(_, _, let doubt, _) = error else { throw error }
    #expect(error.localizedDescription.hasPrefix("tiny.ptl was not opened: "))
    return doubt.rawValue
  }
}

@Suite struct TrustTests {
  @Test(arguments: try SignedFiles.read().cases)
  private func verdictOfTheFixtures(one: SignedFiles.Case) throws {
    let files = try SignedFiles.read()
    #expect(try verdict(files.file(one), key: files.publicKey) == one.verdict)
  }

  @Test func theFixturesHoldEveryVerdict() throws {
    let found = Set(try SignedFiles.read().cases.map(\.verdict))
    #expect(found == Set(Doubt.allCases.map(\.rawValue) + ["signed"]))
  }

  @Test func everyChangedByteOfTheRecordsIsFound() throws {
    let files = try SignedFiles.read()
    let good = try files.goodFile
    let text = [UInt8](good)
    let directory = try #require(good.range(of: Data([0x50, 0x4B, 1, 2]))).lowerBound
    // The one comment that nobody signs; in the directory some bytes are read by no one.
    let comment = try #require(good.range(of: Data("untrusted comment: ".utf8))).upperBound
    let end = try #require(text[comment...].firstIndex(of: UInt8(ascii: "\n")))
    for index in 0..<directory where !(comment..<end).contains(index) {
      var changed = good
      changed[index] &+= 1
      #expect(try verdict(changed, key: files.publicKey) != "signed", "byte \(index)")
    }
  }

  @Test func anotherKeyIsNamed() throws {
    let files = try SignedFiles.read()
    let folder = try ModelFolder([:])
    try files.goodFile.write(to: folder.file("x.ptl"))
    let trust = Trust(publicKey: files.otherPublicKey, cryptography: cryptography)
    let error = try caught(VisionError.self) { try trust.require(folder.file("x.ptl")) }
    #expect(error.localizedDescription.contains("key \(files.keyId) signed it"))
  }

  @Test func aBlankKeyDemandsNothing() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let trust = Trust(publicKey: " \n", cryptography: cryptography)
    _ = try await VisionModel.open(
      folder.file("x.ptl"), runtime: FakeRuntime.self, trust: trust)
  }

  @Test(arguments: ["x", "RWQ=", "RWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
  func aKeyThatIsNoneOpensNothing(line: String) async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let trust = Trust(publicKey: line, cryptography: cryptography)
    let error = try await caught(VisionError.self) {
      try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self, trust: trust)
    }
    #expect(error == .badPublicKey(line))
  }

  @Test func whatNobodyVouchedForDoesNotReachTheRuntime() async throws {
    let key = try SignedFiles.read().publicKey
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let trust = Trust(publicKey: key, cryptography: cryptography)
    let error = try await caught(VisionError.self) {
      try await VisionModel.open(folder.file("x.ptl"), runtime: FakeRuntime.self, trust: trust)
    }
    guard case .notVouchedFor(_, _, .oddZip, _) = error else {
      Issue.record("\(error)")
      return
    }
    let plan = BenchmarkPlan(threads: [1])
    let timed = try await caught(VisionError.self) {
      try await VisionModel.benchmark(
        folder.file("x.ptl"), runtime: FakeRuntime.self, trust: trust, plan: plan)
    }
    #expect(timed == error)
  }

  @MainActor @Test func theScreenSaysWhyAModelIsNotOpened() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let trust = Trust(publicKey: try SignedFiles.read().publicKey, cryptography: cryptography)
    let model = ClassifierModel(
      folder: folder.url, runtime: FakeRuntime.self, trust: trust, threads: 1, app: "t 1")
    await model.start()
    guard case .failed(let sentence) = model.first.phase else {
      Issue.record("\(model.first.phase)")
      return
    }
    #expect(sentence.hasPrefix("x.ptl was not opened: "))
    #expect(model.first.model == nil)
  }

  /// A file of the exporter, as it ships: `SIGNED_FILE`, by the key `SIGNED_KEY`.
  @Test(.enabled(if: environment["SIGNED_FILE"] != nil))
  func whatTheExporterSignedIsVouchedFor() throws {
    let file = URL(fileURLWithPath: try #require(environment["SIGNED_FILE"]))
    let key = try #require(environment["SIGNED_KEY"])
    let data = try Data(contentsOf: file)
    #expect(try verdict(data, key: key) == "signed")
    #expect(try verdict(data, key: try SignedFiles.read().publicKey) == "other-key")
    var changed = data
    changed[data.count / 2] ^= 1  // the middle of its largest record
    #expect(try verdict(changed, key: key) == "other-records")
  }

  private struct Packed: Decodable {
    let packed: String
    let size: Int
    let plain: String?
  }

  /// What zlib packed, and damaged streams with what zlib makes of them: `DEFLATED`.
  @Test(.enabled(if: environment["DEFLATED"] != nil))
  func inflatesAsZlibDoes() throws {
    let file = URL(fileURLWithPath: try #require(environment["DEFLATED"]))
    let all = try JSONDecoder().decode([Packed].self, from: Data(contentsOf: file))
    for (index, one) in all.enumerated() {
      let packed = try #require(Data(base64Encoded: one.packed))
      let plain = packed.withUnsafeBytes { inflate($0, size: one.size) }
      #expect(plain.map { Data($0) } == one.plain.flatMap { Data(base64Encoded: $0) }, "\(index)")
    }
    #expect(all.contains { $0.plain == nil } && all.contains { $0.plain != nil })
  }
}

private let environment = ProcessInfo.processInfo.environment
