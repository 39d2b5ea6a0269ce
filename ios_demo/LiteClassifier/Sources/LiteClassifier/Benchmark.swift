import Foundation

/// The benchmark that `python -m runtime_check bench --import` reads; Android writes the same.
///
/// Times are milliseconds of wall clock, sizes MB of 10^6 bytes; what was not measured is left out.
public struct Benchmark: Codable, Equatable, Sendable {
  public var format = "runtime-check-benchmark"
  public var version = "1.0"
  public var devices: [DeviceRuns]

  public init(devices: [DeviceRuns]) { self.devices = devices }

  public struct Device: Codable, Equatable, Sendable {
    public enum Platform: String, Codable, Sendable { case linux, macos, windows, android, ios }

    public var platform: Platform
    public var model: String
    public var os: String
    public var cpu: String
    public var cores: Int
    public var app: String
  }

  public struct DeviceRuns: Codable, Equatable, Sendable {
    public var device: Device
    public var runs: [Run]
    public var skipped: [Skipped]
    public var interleaved: Bool

    public init(device: Device, runs: [Run], skipped: [Skipped] = [], interleaved: Bool = false) {
      self.device = device
      self.runs = runs
      self.skipped = skipped
      self.interleaved = interleaved
    }
  }

  public struct Skipped: Codable, Equatable, Sendable {
    public var label: String
    public var reason: String
  }

  public struct Run: Codable, Equatable, Sendable, Identifiable {
    public var label: String
    public var runtime: String
    public var model: String
    public var file: String?
    public var sha256: String?
    public var quantization: String
    public var threads: Int
    public var inputShape: [Int]
    public var samplesMs: [Double]
    public var loadMs: Double?
    public var firstMs: Double?
    public var peakMb: Double?
    public var sizeMb: Double?

    public var id: String { label }
    public var medianMs: Double { median(samplesMs) ?? .nan }
    public var p95Ms: Double { percentile95(samplesMs) ?? .nan }

    enum CodingKeys: String, CodingKey {
      case label, runtime, model, file, sha256, quantization, threads
      case inputShape = "input_shape"
      case samplesMs = "samples_ms"
      case loadMs = "load_ms"
      case firstMs = "first_ms"
      case peakMb = "peak_mb"
      case sizeMb = "size_mb"
    }
  }

  /// The file's content.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }
}

/// How a benchmark is taken.
public struct BenchmarkPlan: Sendable {
  /// Inferences before those that count.
  public var warmUp = 3
  public var samples = 30
  /// Each of these numbers of threads is timed by itself.
  public var threads: [Int]

  public init(threads: [Int] = threadCounts(cores: ProcessInfo.processInfo.activeProcessorCount)) {
    self.threads = threads
  }

  /// 1, 2 and 4 threads, as far as there are cores.
  public static func threadCounts(cores: Int) -> [Int] {
    [1, 2, 4].filter { $0 == 1 || $0 <= cores }
  }
}

extension VisionModel {
  /// Time `file` on its own first golden input, opened afresh for every number of threads.
  ///
  /// Memory is watched while the file loads and warms up, not while it is timed. A canceled task
  /// ends after the inference in hand, with `CancellationError`. However it ends, inferences use
  /// `threadsAfterwards` threads again.
  public static func benchmark(
    _ file: URL, runtime: any ModelRuntime.Type, trust: Trust? = nil,
    plan: BenchmarkPlan = BenchmarkPlan(), sha256: String? = nil,
    threadsAfterwards: Int = defaultThreads
  ) async throws -> [Benchmark.Run] {
    // What was set before must have been possible.
    defer { try? runtime.setThreads(threadsAfterwards) }
    var runs: [Benchmark.Run] = []
    for threads in plan.threads {
      let watch = MemoryWatch()
      defer { watch.stop() }
      let model = try await open(file, runtime: runtime, threads: threads, trust: trust)
      var run = try await model.timed(plan, threads, watch)
      await model.close()
      run.runtime = "\(runtime.runs.runtime) \(runtime.version)"
      run.sha256 = sha256
      runs.append(run)
    }
    return runs
  }

  private func timed(_ plan: BenchmarkPlan, _ threads: Int, _ watch: MemoryWatch) throws
    -> Benchmark.Run
  {
    let inputs = try golden().cases[0].inputs
    func once() throws -> Double {
      try Task.checkCancellation()
      return try milliseconds { try forward(inputs) }.1
    }
    let first = try once()
    for _ in 0..<plan.warmUp { _ = try once() }
    watch.stop()
    let samples = try (0..<plan.samples).map { _ in try once() }
    return Benchmark.Run(
      label: "\(fileName), \(threads) thread\(threads == 1 ? "" : "s")",
      runtime: metadata.format.runtime, model: metadata.name, file: fileName,
      quantization: metadata.quantization.method, threads: threads,
      inputShape: inputs.first?.shape ?? [], samplesMs: samples, loadMs: loadMilliseconds,
      firstMs: first, peakMb: watch.rise, sizeMb: Double(sizeBytes) / 1e6)
  }
}

/// Looks at the process's memory every few milliseconds on a thread of its own.
private final class MemoryWatch: @unchecked Sendable {
  // Both are only touched with the lock held.
  private var running = true
  private var highest: Double?
  private let before = residentMegabytes()
  private let lock = NSLock()

  init() {
    Thread.detachNewThread { [self] in
      while look() { Thread.sleep(forTimeInterval: 0.002) }
    }
  }

  @discardableResult private func look() -> Bool {
    let now = residentMegabytes()
    return lock.withLock {
      if let now, running { highest = max(highest ?? 0, now) }
      return running
    }
  }

  /// Look a last time; stopping again is fine.
  func stop() {
    look()
    lock.withLock { running = false }
  }

  /// How far memory rose, in MB; nil where it cannot be read.
  var rise: Double? {
    before.flatMap { start in lock.withLock { highest }.map { max($0 - start, 0) } }
  }
}
