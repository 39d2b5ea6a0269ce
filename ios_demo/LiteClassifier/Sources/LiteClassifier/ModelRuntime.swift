import Foundation

/// The seam to the runtime: one open model file. Everything else in this package is plain Swift.
///
/// Calls may come from any thread. An error's `localizedDescription` is shown to the user.
public protocol ModelRuntime: AnyObject, Sendable {
  /// Which files it runs.
  static var runs: FileFormat { get }
  /// The version of torch or ExecuTorch behind it, as "2.1.0".
  static var version: String { get }
  /// Set how many threads one inference may use, for the whole process.
  static func setThreads(_ threads: Int) throws
  /// Open the file at `path`; it stays open as long as this object lives.
  init(path: String) throws
  /// Read the record `extra/NAME` of the file; nil when there is none.
  func extra(_ name: String) throws -> Data?
  /// Run the model.
  func forward(_ inputs: [Tensor]) throws -> [Tensor]
}

/// A thread for work that blocks: an actor's own, so that a model that computes for a second does
/// not hold one of the few threads that Swift runs all tasks on. An app's camera is such work, too.
public final class BlockingExecutor: SerialExecutor {
  private let queue: DispatchQueue

  /// The label is what a debugger shows.
  public init(label: String) {
    queue = DispatchQueue(label: label, qos: .userInitiated)
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  /// Run `work` before anything that is asked for later.
  func perform<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws
    -> Result
  {
    try await withCheckedThrowingContinuation { done in
      queue.async { done.resume(with: Swift.Result { try work() }) }
    }
  }
}

/// An error's text without what torch appends for its own developers, and without a last period:
/// more words follow it.
func readable(_ error: any Error) -> String {
  var text = error.localizedDescription
  if let handles = text.range(of: "Debug info for handle") {
    text = String(text[..<handles.lowerBound])
  }
  text = text.trimmingCharacters(in: .whitespacesAndNewlines)
  if text.count > 400 { return String(text.prefix(400)) + " …" }
  while text.last == "." { text.removeLast() }
  return text
}
