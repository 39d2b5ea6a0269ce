import Foundation
import Testing

@testable import LiteClassifier

// Serialized: they share what `CountingRuntime` counts.
@Suite(.serialized) struct BenchmarkTests {
  @Test func theSharedFileIsReadAndWrittenTheSame() throws {
    let shared = try Fixtures.data("benchmark_ios.json")
    let benchmark = try JSONDecoder().decode(Benchmark.self, from: shared)
    let run = try #require(benchmark.devices.first?.runs.first)
    #expect(benchmark.devices.first?.device.platform == .ios)
    #expect(run.samplesMs == [2.5, 2.25, 3.0])
    #expect(run.medianMs == 2.5)
    // Equal as JSON: same keys, same values, nothing more.
    let ours = try JSONSerialization.jsonObject(with: benchmark.json()) as? NSDictionary
    let theirs = try JSONSerialization.jsonObject(with: shared) as? NSDictionary
    #expect(ours == theirs)
  }

  @Test func aRunHoldsWhatWasMeasured() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden right"])
    let runs = try await VisionModel.benchmark(
      folder.file("x.ptl"), runtime: CountingRuntime.self, plan: BenchmarkPlan(threads: [1, 2]),
      sha256: "abc", threadsAfterwards: 7)
    #expect(runs.map(\.label) == ["x.ptl, 1 thread", "x.ptl, 2 threads"])
    #expect(runs.map(\.threads) == [1, 2])
    #expect(CountingRuntime.threads.value.suffix(3) == [1, 2, 7], "and what was set before")
    let run = runs[1]
    #expect(run.samplesMs.count == 30)
    #expect(run.samplesMs.allSatisfy { $0 > 0 })
    #expect(run.inputShape == [4, 6, 3])
    #expect(run.model == "tiny")
    #expect(run.quantization == "none")
    #expect(run.runtime == "lite interpreter 0.0.0-fake")
    #expect(run.sha256 == "abc")
    #expect(try #require(run.sizeMb) == 21e-6)
    #expect(try #require(run.peakMb) >= 0)
  }

  @Test func oneTwoAndFourThreadsAsFarAsThereAreCores() {
    #expect(BenchmarkPlan.threadCounts(cores: 1) == [1])
    #expect(BenchmarkPlan.threadCounts(cores: 2) == [1, 2])
    #expect(BenchmarkPlan.threadCounts(cores: 3) == [1, 2])
    #expect(BenchmarkPlan.threadCounts(cores: 6) == [1, 2, 4])
  }

  @Test func aCanceledBenchmarkEndsAfterTheInferenceInHand() async throws {
    let folder = try ModelFolder(["x.ptl": "metadata golden slow"])
    let file = folder.file("x.ptl")
    let before = CountingRuntime.inferences.value
    let task = Task {
      try await VisionModel.benchmark(
        file, runtime: CountingRuntime.self, plan: .init(threads: [1]))
    }
    while CountingRuntime.inferences.value == before { await Task.yield() }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    // Of one to begin with, 3 to warm up and 30 that count.
    #expect(CountingRuntime.inferences.value - before < 10)
  }
}

/// `FakeRuntime` that writes down what it is told.
private final class CountingRuntime: ModelRuntime {
  static let threads = Locked<[Int]>([])
  static let inferences = Locked(0)
  static let runs = FakeRuntime.runs
  static let version = FakeRuntime.version
  private let fake: FakeRuntime

  static func setThreads(_ count: Int) throws { threads.value += [count] }

  init(path: String) throws { fake = try FakeRuntime(path: path) }

  func extra(_ name: String) throws -> Data? { try fake.extra(name) }

  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    Self.inferences.value += 1
    return try fake.forward(inputs)
  }
}
