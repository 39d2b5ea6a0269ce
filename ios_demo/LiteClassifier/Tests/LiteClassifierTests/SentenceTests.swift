import Foundation
import Testing

@testable import LiteClassifier

/// `sentences.json`: what both libraries say.
private struct Sentences: Decodable {
  struct Failure: Decodable, Sendable, CustomTestStringConvertible {
    let kind: String
    let arguments: [String: String]
    let sentence: String

    var testDescription: String { kind }

    /// The error that the fixture means; a kind that is not known here throws.
    var error: VisionError {
      get throws {
        func text(_ key: String) throws -> String {
          try #require(arguments[key], "\(kind): \(key)")
        }
        func number(_ key: String) throws -> Int { try #require(Int(text(key))) }
        func photo() throws -> (Int, Int, Int) {
          (try number("width"), try number("height"), try number("limit"))
        }
        switch kind {
        case "missing_record":
          return .missingRecord(file: try text("file"), record: try text("record"))
        case "schema_older":
          #expect(try number("reads") == Metadata.schemaMajor)
          return .schemaOlder(file: try text("file"), version: try text("version"))
        case "schema_newer":
          return .schemaNewer(file: try text("file"), version: try text("version"))
        case "damaged":
          return .damaged(file: try text("file"), why: try text("why"))
        case "not_vouched_for":
          return .notVouchedFor(
            file: try text("file"), key: try text("key"), doubt: .unsigned, why: try text("why"))
        case "bad_public_key":
          return .badPublicKey(try text("text"))
        case "runtime_absent":
          return .runtimeAbsent(
            file: try text("file"), format: try format { $0.maker == arguments["runtime"] },
            remedy: try text("remedy"))
        case "cannot_open":
          return .cannotOpen(
            file: try text("file"), why: try text("why"),
            format: try format { $0.runOn == arguments["run_on"] })
        case "run_failed":
          return .runFailed(
            file: try text("file"), why: try text("why"),
            format: try format { $0.runOn == arguments["run_on"] })
        case "takes_tensors":
          return .takesTensors(file: try text("file"), inputs: try text("inputs"))
        case "photo_too_small":
          let (width, height, limit) = try photo()
          return .photoTooSmall(width: width, height: height, limit: limit)
        case "photo_too_long":
          let (width, height, limit) = try photo()
          return .photoTooLong(width: width, height: height, limit: limit)
        case "photo_too_large":
          let (width, height, limit) = try photo()
          return .photoTooLarge(width: width, height: height, limit: limit)
        case "photo_unreadable":
          return .photoUnreadable(why: try text("why"))
        case "out_of_memory":
          return .outOfMemory(what: try text("what"))
        case "closed":
          return .closed(file: try text("file"))
        default:
          throw UnknownKind()
        }
      }
    }

    private struct UnknownKind: Error {}
  }

  struct Verdict: Decodable {
    let cases: Int
    let passed: Int
    let maxAbs: Double?
    let allowed: Double
    let several: Bool
    let top1: Double?
    let firstProblem: String?
    let runOn: String
    let sentence: String
  }

  let failures: [Failure]
  let verdicts: [Verdict]

  static func read() throws -> Sentences {
    // Arguments keep their names: `run_on` is looked up as it stands.
    let kinds = try Fixtures.read(Kinds.self, "sentences.json", keys: .useDefaultKeys)
    let verdicts = try Fixtures.read(Verdicts.self, "sentences.json")
    return Sentences(failures: kinds.failures, verdicts: verdicts.verdicts)
  }

  private struct Kinds: Decodable { let failures: [Failure] }
  private struct Verdicts: Decodable { let verdicts: [Verdict] }
}

private func format(_ fits: (FileFormat) -> Bool) throws -> FileFormat {
  let found = [FileFormat.lite, .program].first(where: fits)
  return try #require(found)
}

@Suite struct SentenceTests {
  @Test(arguments: try Sentences.read().failures)
  private func sentenceOfBothLibraries(failure: Sentences.Failure) throws {
    let error = try failure.error
    #expect(error.kind == failure.kind)
    #expect(error.localizedDescription == failure.sentence)
  }

  @Test func everyKindHasAFixture() throws {
    let failures = try Sentences.read().failures
    #expect(Set(failures.map(\.kind)).count == 16, "as many as VisionError has cases")
  }

  @Test func verdictsAreSaidAsOnAndroid() throws {
    let verdicts = try Sentences.read().verdicts
    #expect(Set(verdicts.map { $0.passed == $0.cases && $0.cases > 0 }).count == 2)
    for one in verdicts {
      let verdict = Verification(
        cases: one.cases, passed: one.passed, maxAbs: one.maxAbs, allowed: one.allowed,
        several: one.several, top1: one.top1, firstProblem: one.firstProblem,
        format: try format { $0.runOn == one.runOn })
      #expect(verdict.sentence == one.sentence)
    }
  }
}
