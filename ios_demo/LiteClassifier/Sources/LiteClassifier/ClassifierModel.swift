import Foundation
import Observation

/// The state behind the screen: which models, which photo, what came out.
///
/// All work happens off the main thread.
@MainActor @Observable
public final class ClassifierModel {
  /// A frame of the live camera, and what the model makes of it.
  public struct LiveFrame: Equatable, Sendable {
    public let frame: RGBImage
    public let result: VisionResult
    /// How many frames a second get an answer, over the last ten; nil before the second.
    public let perSecond: Double?
  }

  /// Where a benchmark of the installed models stands. Every error is a sentence.
  public enum Timing: Equatable, Sendable {
    case none
    case running(done: Int, of: Int)
    /// Ends after the inference in hand.
    case canceling
    case finished(Benchmark)
    case failed(String)
  }

  /// The model in use.
  public let first: ModelSlot
  /// Another one that runs on the same photos; its slot is empty until one is chosen.
  public let second: ModelSlot
  /// Installed model files by name: the variants to switch between.
  public private(set) var files: [URL] = []
  /// Whether the folder was looked through.
  public private(set) var hasLooked = false
  public private(set) var hasPhoto = false
  public private(set) var timing = Timing.none
  /// What the live camera sees; nil when it is off, and while the model cannot answer.
  public private(set) var live: LiveFrame?
  /// Why the model gave no answer to the last frame, in a sentence.
  public private(set) var liveFailure: String?

  private let folder: URL
  private let source: ModelSource
  private let app: String
  private let digest: @Sendable (URL) -> String?
  private var photo: Photo?
  private var liveIsBusy = false
  private var liveRate = FrameRate()
  private var measuring: Task<Void, Never>?

  /// - Parameters:
  ///   - folder: where `--install` put the model files.
  ///   - runtime: what runs them.
  ///   - trust: who must have signed a file before it is opened; nil for anybody, and then no `.pte`
  ///     is opened, as nothing can tell whether it is whole.
  ///   - threads: how many one inference uses.
  ///   - app: name and version, for benchmarks.
  ///   - digest: the SHA-256 of a file, for benchmarks; nil where it is not available.
  public init(
    folder: URL, runtime: any ModelRuntime.Type, trust: Trust? = nil,
    threads: Int = VisionModel.defaultThreads, app: String,
    digest: @escaping @Sendable (URL) -> String? = { _ in nil }
  ) {
    self.folder = folder
    source = ModelSource(runtime: runtime, trust: trust, threads: threads)
    first = ModelSlot(source)
    second = ModelSlot(source)
    self.app = app
    self.digest = digest
  }

  /// Find the installed models and open the first, once: a view may ask again.
  public func start() async {
    guard first.selected == nil else { return }
    let found = try? FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    files = (found ?? []).filter { FileFormat(rawValue: $0.pathExtension) != nil }
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
    hasLooked = true
    if let file = files.first { await select(file) }
  }

  /// What a file is called in a list: by its name, and where it came from if another one has it too.
  public func title(_ file: URL) -> String {
    let name = file.lastPathComponent
    let isShared = files.count { $0.lastPathComponent == name } > 1
    return isShared && file.deletingLastPathComponent() == openedFolder ? "\(name) (opened)" : name
  }

  /// Copy a model file from elsewhere, and open the copy; it is one of the variants from then on.
  ///
  /// Copies lie in a temporary folder: they last until the system clears it.
  public func open(_ file: URL) async {
    cancelBenchmark()
    let mine = first.awaits(file.lastPathComponent)
    do {
      let copy = try await Task.detached(priority: .userInitiated) { try copied(file) }.value
      guard first.isLatest(mine) else { return }
      // What was found out about a file of this name is of another one.
      source.verdicts[copy] = nil
      if !files.contains(copy) { files.append(copy) }
      await select(copy)
    } catch {
      first.fail(error, mine)
    }
  }

  /// Open another variant and run it on the same photo.
  ///
  /// On a model's first use its golden vectors are replayed.
  public func select(_ file: URL) async {
    stopLive()
    await first.select(file) { photo }
  }

  /// Run another model beside the first one, on the same photos; nil for none.
  public func compare(with file: URL?) async {
    guard let file else { return await second.clear() }
    await second.select(file) { photo }
  }

  /// Run the models in use on a photo.
  public func run(_ photo: Photo) async {
    self.photo = photo
    hasPhoto = true
    // One after the other: together they would only wait for each other's cores.
    await first.run(photo)
    await second.run(photo)
  }

  /// Show what went wrong before a photo existed, such as a picture that cannot be decoded.
  public func report(_ error: any Error) { first.report(error) }

  /// Run the model on a camera frame; frames that come while one is in work are dropped.
  public func runLive(_ frame: RGBImage) async {
    guard let model = first.model, !liveIsBusy else { return }
    liveIsBusy = true
    defer { liveIsBusy = false }
    do {
      let result = try await model.run(Photo(frame))
      guard model === first.model else { return }
      liveRate.add(at: ProcessInfo.processInfo.systemUptime)
      live = LiveFrame(
        frame: frame, result: result.compared(to: first.last), perSecond: liveRate.perSecond)
      liveFailure = nil
    } catch {
      guard model === first.model else { return }
      live = nil
      liveFailure = error.localizedDescription
    }
  }

  /// Forget what the camera saw.
  public func stopLive() {
    live = nil
    liveFailure = nil
    liveRate = FrameRate()
  }

  /// Whether a benchmark has the models: they are closed until it ends.
  public var isTiming: Bool {
    switch timing {
    case .running, .canceling: true
    case .none, .finished, .failed: false
    }
  }

  /// Time every installed model, one after the other, on this device.
  ///
  /// The models in use are closed meanwhile, so that their memory is not in the figures; what they
  /// made of the photo stays on the screen.
  public func benchmark(_ plan: BenchmarkPlan = BenchmarkPlan()) async {
    guard !isTiming else { return }
    timing = .running(done: 0, of: files.count)
    let task = Task { await measure(plan) }
    measuring = task
    await task.value
    measuring = nil
  }

  /// End the benchmark after the inference in hand, without a result.
  public func cancelBenchmark() {
    guard case .running = timing else { return }
    timing = .canceling
    measuring?.cancel()
  }

  private func measure(_ plan: BenchmarkPlan) async {
    stopLive()
    await first.suspend()
    await second.suspend()
    let outcome = await measured(plan)
    await first.resume()
    await second.resume()
    timing = outcome
  }

  private func measured(_ plan: BenchmarkPlan) async -> Timing {
    var runs: [Benchmark.Run] = []
    var skipped: [Benchmark.Skipped] = []
    let (source, digest) = (source, digest)
    for (index, file) in files.enumerated() {
      timing = .running(done: index, of: files.count)
      do {
        try Task.checkCancellation()
        let sha256 = await Task.detached { digest(file) }.value
        runs += try await VisionModel.benchmark(
          file, runtime: source.runtime, trust: source.trust, plan: plan, sha256: sha256,
          threadsAfterwards: source.threads)
      } catch is CancellationError {
        return .none
      } catch {
        skipped.append(
          Benchmark.Skipped(label: file.lastPathComponent, reason: error.localizedDescription))
      }
    }
    guard !runs.isEmpty else {
      return .failed(skipped.first?.reason ?? "No model is installed, so nothing was timed.")
    }
    return .finished(
      Benchmark(devices: [
        Benchmark.DeviceRuns(device: .current(app: app), runs: runs, skipped: skipped)
      ]))
  }
}

/// A file that was chosen and is no model.
struct NoModelFile: LocalizedError {
  let name: String
  var errorDescription: String? { "\(name) is no model file: those end in .ptl or .pte." }
}

private let openedFolder = FileManager.default.temporaryDirectory
  .appendingPathComponent("Opened", isDirectory: true)

/// Copy a model file into a folder of our own; return the copy.
private func copied(_ file: URL) throws -> URL {
  let name = file.lastPathComponent
  guard let format = FileFormat(rawValue: file.pathExtension) else {
    throw NoModelFile(name: name)
  }
  let manager = FileManager.default
  let copy = openedFolder.appendingPathComponent(name)
  // A copy that fails halfway must not replace what is there.
  let partial = openedFolder.appendingPathComponent(".\(name).partial")
  do {
    try manager.createDirectory(at: openedFolder, withIntermediateDirectories: true)
    try? manager.removeItem(at: partial)
    try manager.copyItem(at: file, to: partial)
    try? manager.removeItem(at: copy)
    try manager.moveItem(at: partial, to: copy)
  } catch {
    throw VisionError.cannotOpen(file: name, why: readable(error), format: format)
  }
  return copy
}
