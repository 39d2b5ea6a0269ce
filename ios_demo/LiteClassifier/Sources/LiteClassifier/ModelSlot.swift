import Foundation
import Observation

/// How models are opened, and which golden vectors were replayed already; all slots share it.
@MainActor final class ModelSource {
  let runtime: any ModelRuntime.Type
  let trust: Trust?
  let threads: Int
  /// What the golden vectors of a file gave since the app was started.
  var verdicts: [URL: Verification] = [:]

  init(runtime: any ModelRuntime.Type, trust: Trust?, threads: Int) {
    (self.runtime, self.trust, self.threads) = (runtime, trust, threads)
  }

  func open(_ file: URL) async throws -> VisionModel {
    try await VisionModel.open(file, runtime: runtime, threads: threads, trust: trust)
  }
}

/// One model on the screen with what it made of the photo.
///
/// An answer that a newer request has overtaken is dropped.
@MainActor @Observable
public final class ModelSlot {
  /// What the screen shows. Every error is a sentence.
  public enum Phase: Equatable, Sendable {
    /// No file was chosen.
    case empty
    case opening(String)
    /// A model is open and waits for a photo, or takes none: see `photoRefusal`.
    case ready
    case running
    case finished(VisionResult)
    case failed(String)
  }

  /// Whether this device computes what Python computes.
  public enum Badge: Equatable, Sendable {
    case none
    case checking
    case checked(Verification)
    /// The vectors could not be replayed; the sentence says why.
    case failed(String)
  }

  public private(set) var phase = Phase.empty
  public private(set) var badge = Badge.none
  public private(set) var selected: URL?
  /// The open model; nil while none is, or while one is being opened.
  public private(set) var model: VisionModel?
  /// What the model in use made of the last photo.
  private(set) var last: VisionResult?

  private let source: ModelSource
  private var request = 0

  init(_ source: ModelSource) { self.source = source }

  /// Why the model in use takes no photo, in a sentence; nil where it takes one, or none is open.
  public var photoRefusal: String? { model?.photoRefusal?.localizedDescription }

  /// Open a file, replay its golden vectors where that was not done before, and run it on the photo.
  func select(_ file: URL, photo: @MainActor () -> Photo?) async {
    let mine = newRequest()
    selected = file
    let before = model
    model = nil
    last = nil
    badge = .none
    phase = .opening(file.lastPathComponent)
    // The old model goes before the new one comes: two at once may be too much memory.
    await before?.close()
    do {
      let opened = try await source.open(file)
      guard mine == request else { return await opened.close() }
      model = opened
      await verify(opened, mine)
      guard mine == request else { return }
      if let photo = photo(), opened.takesPhotos { await run(photo, mine) } else { phase = .ready }
    } catch {
      fail(error, mine)
    }
  }

  private func verify(_ opened: VisionModel, _ mine: Int) async {
    if let known = source.verdicts[opened.file] {
      badge = .checked(known)
      return
    }
    badge = .checking
    do {
      let verdict = try await opened.verify()
      source.verdicts[opened.file] = verdict
      if mine == request { badge = .checked(verdict) }
    } catch {
      if mine == request { badge = .failed(error.localizedDescription) }
    }
  }

  /// Run the model in use on a photo. While one is being opened nothing happens: `select` will.
  func run(_ photo: Photo) async {
    guard model != nil else { return }
    await run(photo, newRequest())
  }

  private func run(_ photo: Photo, _ mine: Int) async {
    guard let model, model.takesPhotos else { return }
    phase = .running
    do {
      let result = try await model.run(photo)
      guard mine == request else { return }
      phase = .finished(result.compared(to: last))
      last = result
    } catch {
      fail(error, mine)
    }
  }

  /// Close the model and leave the slot empty.
  func clear() async {
    _ = newRequest()
    let before = model
    (model, selected, last) = (nil, nil, nil)
    (badge, phase) = (.none, .empty)
    await before?.close()
  }

  /// Free the model's memory for a while; what it made of the photo stays on the screen.
  func suspend() async {
    let before = model
    model = nil
    await before?.close()
  }

  /// Open the model again that `suspend` closed, unless another one was chosen since.
  func resume() async {
    guard model == nil, let selected else { return }
    let mine = request
    do {
      let opened = try await source.open(selected)
      guard mine == request, model == nil else { return await opened.close() }
      model = opened
    } catch {
      fail(error, mine)
    }
  }

  /// Show what went wrong before a photo existed, such as a picture that cannot be decoded.
  func report(_ error: any Error) { fail(error, newRequest()) }

  /// Say that a file is on its way, which may be slow; the number is for `failed(_:_:)`.
  func awaits(_ name: String) -> Int {
    phase = .opening(name)
    return newRequest()
  }

  /// Whether nothing was asked for since.
  func isLatest(_ mine: Int) -> Bool { mine == request }

  func fail(_ error: any Error, _ mine: Int) {
    if mine == request { phase = .failed(error.localizedDescription) }
  }

  private func newRequest() -> Int {
    request += 1
    return request
  }
}
