import Foundation
import TestCryptography
import Testing

@testable import LiteClassifier

/// `programs.json`: files with a program in front of their records, and what a reader says of them.
private struct ProgramFiles: Decodable {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let verdict: String
    let says: String
    let pieces: [Piece]

    var testDescription: String { name }
  }

  let publicKey: String
  let program: String
  let methods: [String]
  let good: String
  let cases: [Case]

  static func read() throws -> ProgramFiles { try Fixtures.read(Self.self, "programs.json") }

  var goodFile: Data { get throws { try #require(Data(base64Encoded: good)) } }
  var size: Int { get throws { try #require(Data(base64Encoded: program)).count } }
}

private func opened(_ data: Data) throws -> ProgramFile {
  let folder = try ModelFolder([:])
  let file = folder.file("tiny.pte")
  try data.write(to: file)
  return try ProgramFile(file, cryptography: cryptography)
}

private func isVouchedFor(_ data: Data, key: String) throws -> Bool {
  let folder = try ModelFolder([:])
  let file = folder.file("tiny.pte")
  try data.write(to: file)
  do {
    try Trust(publicKey: key, cryptography: cryptography).require(file)
    return true
  } catch let error as VisionError {
    guard case .notVouchedFor = error else { throw error }
    return false
  }
}

@Suite struct ProgramTests {
  @Test(arguments: try ProgramFiles.read().cases)
  private func verdictOfTheFixtures(one: ProgramFiles.Case) throws {
    let files = try ProgramFiles.read()
    let data = one.pieces.file(of: try files.goodFile)
    if one.verdict == "whole" {
      let read = try opened(data)
      #expect(try Metadata.read(read.metadata, file: "tiny.pte").format == .program)
      #expect(try Golden.read(read.golden, file: "tiny.pte").cases.count == 3)
      #expect(try isVouchedFor(data, key: files.publicKey))
    } else {
      #expect(one.verdict == "damaged")
      let error = try caught(VisionError.self) { _ = try opened(data) }
      #expect(!one.says.isEmpty && error.localizedDescription.contains(one.says))
      #expect(error.localizedDescription.hasPrefix("tiny.pte"))
    }
  }

  @Test func theProgramIsTheFirstBytes() throws {
    let files = try ProgramFiles.read()
    let read = try opened(files.goodFile)
    let size = try files.size
    #expect(read.program.bytes == size)
    #expect(read.program.methods == files.methods)
  }

  @Test func everyChangedByteOfTheProgramIsFound() throws {
    let files = try ProgramFiles.read()
    let good = try files.goodFile
    for index in 8..<(try files.size) {
      var changed = good
      changed[index] &+= 1
      #expect(throws: VisionError.self, "byte \(index)") { try opened(changed) }
      #expect(try !isVouchedFor(changed, key: files.publicKey), "byte \(index)")
    }
  }

  @Test func onlyBehindAProgramMayAZipBeginElsewhere() throws {
    let files = try ProgramFiles.read()
    let size = try files.size
    let good = try files.goodFile
    let other = Data(repeating: 1, count: size) + good.dropFirst(size)
    #expect(FileFormat.of(other) == .lite)
    #expect(FileFormat.of(good) == .program)
    #expect(FileFormat.of(Data([1, 2])) == .lite)
    #expect(try !isVouchedFor(other, key: files.publicKey))
  }

  @Test func theChecksumIsTheStandards() {
    #expect(crc32(Data("123456789".utf8)) == 0xCBF4_3926)
  }
}

/// A runtime without ExecuTorch: it computes what the golden vectors hold, or fails as told.
private final class TinyProgram: ModelRuntime {
  struct Failure: LocalizedError { let errorDescription: String? }

  static let runs = FileFormat.program
  static let version = "0.0.0-fake"
  static func setThreads(_ threads: Int) throws {}

  init(path: String) throws {
    guard path.hasSuffix("tiny.pte") else {
      throw Failure(
        errorDescription:
          "loading forward failed with 0x14 (OperatorMissing): kernel 'a' not found.")
    }
  }

  func extra(_ name: String) throws -> Data? { nil }

  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    guard inputs.count == 1 else {
      throw Failure(errorDescription: "preprocess failed with 0x12 (InvalidArgument)")
    }
    return [try tinyForward(inputs[0])]
  }
}

@Suite struct ProgramRuntimeTests {
  private let trust = Trust(publicKey: "", cryptography: cryptography)

  private func written(_ data: Data, _ name: String) throws -> (ModelFolder, URL) {
    let folder = try ModelFolder([:])
    let file = folder.file(name)
    try data.write(to: file)
    return (folder, file)
  }

  @Test func aProgramIsRunAndItsGoldenVectorsAreReplayed() async throws {
    let (folder, file) = try written(ProgramFiles.read().goodFile, "tiny.pte")
    defer { withExtendedLifetime(folder) {} }
    let model = try await VisionModel.open(file, runtime: TinyProgram.self, trust: trust)
    #expect(try await model.verify().passes)
    let error = try await caught(VisionError.self) { _ = try await model.forward([]) }
    #expect(
      error.localizedDescription
        == "tiny.pte loaded but did not run: the inputs are of another type than the program was "
        + "made for, or not as many (0x12). Check it on a computer with "
        + "`python -m runtime_check FILE --run-on arm64-executorch`.")
  }

  @Test func theRuntimeDoesNotSeeWhatIsNotWhole() async throws {
    let good = try ProgramFiles.read().goodFile
    var changed = good
    changed[20] &+= 1
    // A name that the runtime would refuse in other words.
    let (folder, file) = try written(changed, "other.pte")
    defer { withExtendedLifetime(folder) {} }
    let error = try await caught(VisionError.self) {
      _ = try await VisionModel.open(file, runtime: TinyProgram.self, trust: trust)
    }
    #expect(error.localizedDescription.contains("its program is not the one"))
    try good.write(to: file)
    let refused = try await caught(VisionError.self) {
      _ = try await VisionModel.open(file, runtime: TinyProgram.self, trust: trust)
    }
    #expect(
      refused.localizedDescription.hasPrefix(
        "other.pte does not load: it calls an operator that this runtime does not have (0x14: "
          + "kernel 'a' not found). It is damaged, or"))
    let unhashed = try await caught(VisionError.self) {
      _ = try await VisionModel.open(file, runtime: TinyProgram.self)
    }
    #expect(unhashed.localizedDescription.contains("no cryptography was given"))
  }

  @Test func aFileForTheOtherRuntimeIsNamed() async throws {
    let good = try ProgramFiles.read().goodFile
    let (folder, file) = try written(good, "tiny.pte")
    defer { withExtendedLifetime(folder) {} }
    let program = try await caught(VisionError.self) {
      _ = try await VisionModel.open(file, runtime: FakeRuntime.self, trust: trust)
    }
    #expect(
      program.localizedDescription
        == "tiny.pte is for ExecuTorch, which this app was built without. Build it with "
        + "MODEL_RUNTIME = executorch, or export the model with `--format ptl`.")
    try good.dropFirst(ProgramFiles.read().size).write(to: file)
    let lite = try await caught(VisionError.self) {
      _ = try await VisionModel.open(file, runtime: TinyProgram.self, trust: trust)
    }
    #expect(lite.localizedDescription.hasPrefix("tiny.pte is for PyTorch's lite interpreter, "))
    // What is neither is damaged, for whichever runtime there is.
    for content in [Data(), Data("neither one".utf8)] {
      try content.write(to: file)
      let neither = try await caught(VisionError.self) {
        _ = try await VisionModel.open(file, runtime: TinyProgram.self, trust: trust)
      }
      #expect(neither.localizedDescription.contains("does not begin as an ExecuTorch program"))
    }
  }

  private struct Words: Decodable {
    let loading: [String: String]
    let running: [String: String]
  }

  @Test func theRuntimesNumbersAreSaidAsPythonSaysThem() throws {
    let words = try Fixtures.read(Words.self, "program_errors.json", keys: .useDefaultKeys)
    #expect(!words.loading.isEmpty && words.loading != words.running)
    for (isLoading, expected) in [(true, words.loading), (false, words.running)] {
      for number in 0...0x7F {
        let code = String(format: "0x%02x", number)
        let message = "forward failed with \(code) (Name): the log; more.\n"
        let said = programError(message, loading: isLoading)
        #expect(said == expected[code].map { "\($0) (\(code): the log; more)" } ?? message)
      }
    }
    #expect(programError("no number", loading: true) == "no number")
  }
}
