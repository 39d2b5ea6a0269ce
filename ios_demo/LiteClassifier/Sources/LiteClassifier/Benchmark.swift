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
  public var warmUp = 3
  public var samples = 30
  public var threads: Int

  public init(threads: Int) { self.threads = threads }
}

extension LoadedModel {
  /// Open `file` afresh and time it on its own first golden input. Blocks until done.
  ///
  /// Memory is watched while it loads and warms up, not while it is timed.
  public static func benchmark(
    _ file: URL, runtime: any ModelRuntime.Type, trust: Trust? = nil, plan: BenchmarkPlan,
    sha256: String?
  ) throws -> Benchmark.Run {
    try runtime.setThreads(plan.threads)
    let before = residentMegabytes()
    let watch = MemoryWatch()
    let model: LoadedModel
    let inputs: [Tensor]
    let first: Double
    do {
      defer { watch.stop() }
      model = try LoadedModel(file, runtime: runtime, trust: trust)
      inputs = try model.golden().cases[0].inputs
      (_, first) = try milliseconds { try model.forward(inputs) }
      for _ in 0..<plan.warmUp { _ = try model.forward(inputs) }
    }
    let samples = try (0..<plan.samples).map { _ in
      try milliseconds { try model.forward(inputs) }.1
    }
    let peak = before.flatMap { start in watch.peak.map { max($0 - start, 0) } }
    return Benchmark.Run(
      label: "\(model.fileName), \(plan.threads) thread\(plan.threads == 1 ? "" : "s")",
      runtime: "\(runtime.runs.runtime) \(runtime.version)", model: model.metadata.name,
      file: model.fileName, sha256: sha256, quantization: model.metadata.quantization.method,
      threads: plan.threads, inputShape: inputs.first?.shape ?? [], samplesMs: samples,
      loadMs: model.loadMilliseconds, firstMs: first, peakMb: peak,
      sizeMb: Double(model.sizeBytes) / 1e6)
  }
}

/// Looks at the process's memory every few milliseconds on a thread of its own.
private final class MemoryWatch: @unchecked Sendable {
  // Both are only touched with the lock held.
  private var running = true
  private var highest: Double?
  private let lock = NSLock()

  init() {
    Thread.detachNewThread { [self] in
      while look() { Thread.sleep(forTimeInterval: 0.002) }
    }
  }

  @discardableResult private func look() -> Bool {
    let now = residentMegabytes()
    return lock.withLock {
      if let now { highest = max(highest ?? 0, now) }
      return running
    }
  }

  func stop() {
    look()
    lock.withLock { running = false }
  }

  var peak: Double? { lock.withLock { highest } }
}
