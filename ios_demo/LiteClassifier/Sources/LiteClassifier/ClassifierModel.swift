import Foundation
import Observation

/// The state behind the screen: which model, which photo, what came out.
///
/// All work happens off the main thread; an answer that a newer request has overtaken is dropped.
@MainActor @Observable
public final class ClassifierModel {
  /// What the screen shows. Every error is a sentence.
  public enum Phase: Equatable, Sendable {
    /// No model is installed.
    case noModels
    case opening(String)
    /// A model is open and waits for a photo, or takes none: see `photoRefusal`.
    case ready
    case running
    case finished(RunResult)
    case benchmarking(done: Int, of: Int)
    case benchmarked(Benchmark)
    case failed(String)
  }

  /// Whether this device computes what Python computes, for the model in use.
  public enum Badge: Equatable, Sendable {
    case none
    case checking
    case checked(GoldenVerdict)
    /// The vectors could not be replayed; the sentence says why.
    case failed(String)
  }

  public private(set) var phase = Phase.noModels
  public private(set) var badge = Badge.none
  /// Installed model files by name: the variants to switch between.
  public private(set) var files: [URL] = []
  public private(set) var selected: URL?
  /// The open model; nil while none is, or while one is being opened.
  public private(set) var model: LoadedModel?
  public private(set) var hasPhoto = false
  /// A frame of the live camera, and what the model makes of it.
  public struct LiveFrame: Equatable, Sendable {
    public let frame: RGBImage
    public let result: RunResult
  }

  /// What the live camera sees; nil when it is off, and while the model cannot answer.
  public private(set) var live: LiveFrame?
  /// Why the model gave no answer to the last frame, in a sentence.
  public private(set) var liveFailure: String?

  private let folder: URL
  private let runtime: any ModelRuntime.Type
  private let trust: Trust?
  private let threads: Int
  private let app: String
  private let digest: @Sendable (URL) -> String?
  private var photo: Photo?
  /// What the model in use made of the last photo.
  private var last: RunResult?
  private var verdicts: [URL: GoldenVerdict] = [:]
  private var request = 0
  private var liveIsBusy = false

  /// - Parameters:
  ///   - folder: where `--install` put the model files.
  ///   - trust: who must have signed a file before it is opened; nil for anybody, and then no `.pte`
  ///     is opened, as nothing can tell whether it is whole.
  ///   - threads: how many one inference uses.
  ///   - app: name and version, for benchmarks.
  ///   - digest: the SHA-256 of a file, for benchmarks; nil where it is not available.
  public init(
    folder: URL, runtime: any ModelRuntime.Type, trust: Trust? = nil, threads: Int, app: String,
    digest: @escaping @Sendable (URL) -> String? = { _ in nil }
  ) {
    self.folder = folder
    self.runtime = runtime
    self.trust = trust
    self.threads = threads
    self.app = app
    self.digest = digest
  }

  /// Find the installed models and open the first, once: a view may ask again.
  public func start() async {
    guard selected == nil else { return }
    let found = try? FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    files = (found ?? []).filter { FileFormat(rawValue: $0.pathExtension) != nil }
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
    guard let first = files.first else {
      phase = .noModels
      return
    }
    await select(first)
  }

  /// Copy a model file from elsewhere, and open the copy; it is one of the variants from then on.
  ///
  /// Copies lie in a temporary folder: they last until the system clears it.
  public func open(_ file: URL) async {
    let mine = newRequest()
    phase = .opening(file.lastPathComponent)
    do {
      let copy = try await offMain { try copied(file) }
      guard mine == request else { return }
      // What was found out about a file of this name is of another one.
      verdicts[copy] = nil
      if !files.contains(copy) { files.append(copy) }
      await select(copy)
    } catch {
      fail(error, mine)
    }
  }

  /// Why the model in use takes no photo, in a sentence; nil where it takes one, or none is open.
  public var photoRefusal: String? { model?.photoRefusal }

  /// Open another variant and run it on the same photo.
  ///
  /// On a model's first use its golden vectors are replayed.
  public func select(_ file: URL) async {
    let mine = newRequest()
    selected = file
    // The old model goes before the new one comes: two at once may be too much memory.
    model = nil
    stopLive()
    last = nil
    badge = .none
    phase = .opening(file.lastPathComponent)
    do {
      let (runtime, trust, threads) = (runtime, trust, threads)
      let opened = try await offMain {
        try runtime.setThreads(threads)
        return try LoadedModel(file, runtime: runtime, trust: trust)
      }
      guard mine == request else { return }
      model = opened
      await check(opened, mine)
      guard mine == request else { return }
      if photo != nil, opened.photoRefusal == nil { await run(mine) } else { phase = .ready }
    } catch {
      fail(error, mine)
    }
  }

  private func check(_ opened: LoadedModel, _ mine: Int) async {
    if let known = verdicts[opened.file] {
      badge = .checked(known)
      return
    }
    badge = .checking
    do {
      let verdict = try await offMain { try opened.check() }
      verdicts[opened.file] = verdict
      if mine == request { badge = .checked(verdict) }
    } catch {
      if mine == request { badge = .failed(error.localizedDescription) }
    }
  }

  /// Run the model in use on a photo.
  public func run(_ photo: Photo) async {
    self.photo = photo
    hasPhoto = true
    // While a model is being opened the photo waits; `select` runs it.
    guard model != nil else { return }
    await run(newRequest())
  }

  private func run(_ mine: Int) async {
    guard let model, let photo else { return }
    phase = .running
    do {
      let result = try await offMain { try model.run(photo) }
      guard mine == request else { return }
      phase = .finished(result.compared(to: last))
      last = result
    } catch {
      fail(error, mine)
    }
  }

  /// Show what went wrong before a photo existed, such as a picture that cannot be decoded.
  public func report(_ error: any Error) { fail(error, newRequest()) }

  /// Run the model on a camera frame; frames that come while one is in work are dropped.
  public func runLive(_ frame: RGBImage) async {
    guard let model, !liveIsBusy else { return }
    liveIsBusy = true
    defer { liveIsBusy = false }
    do {
      let result = try await offMain { try model.run(Photo(frame)) }
      guard model === self.model else { return }
      live = LiveFrame(frame: frame, result: result.compared(to: last))
      liveFailure = nil
    } catch {
      guard model === self.model else { return }
      live = nil
      liveFailure = error.localizedDescription
    }
  }

  /// Forget what the camera saw.
  public func stopLive() {
    live = nil
    liveFailure = nil
  }

  /// Time every installed model, one after the other, on this device.
  public func benchmark() async {
    let mine = newRequest()
    let plan = BenchmarkPlan(threads: threads)
    var runs: [Benchmark.Run] = []
    var skipped: [Benchmark.Skipped] = []
    for (index, file) in files.enumerated() {
      phase = .benchmarking(done: index, of: files.count)
      do {
        let (runtime, trust, digest) = (runtime, trust, digest)
        runs.append(
          try await offMain {
            try LoadedModel.benchmark(
              file, runtime: runtime, trust: trust, plan: plan, sha256: digest(file))
          })
      } catch {
        skipped.append(
          Benchmark.Skipped(label: file.lastPathComponent, reason: error.localizedDescription))
      }
      guard mine == request else { return }
    }
    guard !runs.isEmpty else {
      phase = .failed(skipped.first?.reason ?? "No model is installed, so nothing was timed.")
      return
    }
    phase = .benchmarked(
      Benchmark(devices: [
        Benchmark.DeviceRuns(device: .current(app: app), runs: runs, skipped: skipped)
      ]))
  }

  /// Leave the benchmark, which ends after the file in hand, and show what was there before.
  public func cancelBenchmark() {
    guard case .benchmarking = phase else { return }
    _ = newRequest()
    phase = last.map { .finished($0) } ?? (model == nil ? .noModels : .ready)
  }

  private func newRequest() -> Int {
    request += 1
    return request
  }

  private func fail(_ error: any Error, _ mine: Int) {
    if mine == request { phase = .failed(error.localizedDescription) }
  }
}

/// Copy a model file into a folder of our own; return the copy. Throws `ModelError`.
private func copied(_ file: URL) throws -> URL {
  let name = file.lastPathComponent
  guard FileFormat(rawValue: file.pathExtension) != nil else {
    throw ModelError.input(why: "\(name) is no model file: those end in .ptl or .pte.")
  }
  let manager = FileManager.default
  let folder = manager.temporaryDirectory.appendingPathComponent("Opened", isDirectory: true)
  let copy = folder.appendingPathComponent(name)
  do {
    try manager.createDirectory(at: folder, withIntermediateDirectories: true)
    if manager.fileExists(atPath: copy.path) { try manager.removeItem(at: copy) }
    try manager.copyItem(at: file, to: copy)
  } catch {
    throw ModelError.unopened(file: name, why: readable(error))
  }
  return copy
}

/// Run blocking work on another thread than the main one.
private func offMain<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws
  -> Result
{
  try await Task.detached(priority: .userInitiated, operation: work).value
}
