import Foundation
import LiteRuntime
import Testing

/// The example of `ios_demo/README.md`, line by line; `test_package.py` holds the two together.
private func example(_ file: URL, _ photo: Photo) async throws {
  let model = try await VisionModel.open(file)
  print(try await model.verify().sentence)
  let result = try await model.run(photo)
  switch result.content {
  case .classes(let best): print(best.map { "\($0.label) \($0.text)" })
  case .boxes(let found): print(found.all.map(\.text))
  default: print(result.outputs.map(\.spec.name), result.milliseconds)
  }
  await model.close()
}

@Suite struct ReadmeTests {
  // On Linux there is no CryptoKit to hash a `.pte` with, and `open` brings no other.
  @Test(.enabled(if: LiteFile.runs == .lite), arguments: try Setup.models())
  func theExampleRuns(file: URL) async throws {
    try await example(file, Setup.photo())
  }
}
