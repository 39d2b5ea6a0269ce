import Foundation

/// What can go wrong with a model file or a photo, each in one sentence that says what to do.
///
/// Kinds and sentences are those of Android's library: `tests/golden/sentences.json` holds both to
/// them.
public enum VisionError: Error, Equatable, LocalizedError, Sendable {
  /// A record of the file is absent: not made by our exporter.
  case missingRecord(file: String, record: String)
  /// An older major version of the contract than is read here.
  case schemaOlder(file: String, version: String)
  /// A newer major version of the contract than is read here.
  case schemaNewer(file: String, version: String)
  /// A record or a program cannot be read; `why` names the field where one is to blame.
  case damaged(file: String, why: String)
  /// The key that is demanded did not sign it; `why` says what is wrong.
  case notVouchedFor(file: String, key: String, doubt: Doubt, why: String)
  /// What is demanded is no public key.
  case badPublicKey(String)
  /// The app is built without the runtime that the file is for; `remedy` says how to take it in.
  case runtimeAbsent(file: String, format: FileFormat, remedy: String)
  /// The runtime cannot open it; `why` is the runtime's own message.
  case cannotOpen(file: String, why: String, format: FileFormat)
  /// The runtime cannot run it on this input; `why` is the runtime's own message.
  case runFailed(file: String, why: String, format: FileFormat)
  /// A photo was given to a model of tensors; `inputs` are the ones it takes.
  case takesTensors(file: String, inputs: String)
  /// A side below `limit` pixels. Sizes are those of the photo in pixels, here and below.
  case photoTooSmall(width: Int, height: Int, limit: Int)
  /// More than `limit` times as long as wide.
  case photoTooLong(width: Int, height: Int, limit: Int)
  /// A side above `limit` pixels.
  case photoTooLarge(width: Int, height: Int, limit: Int)
  /// No pixels could be had of it.
  case photoUnreadable(why: String)
  /// The runtime got no memory.
  case outOfMemory(what: String)
  /// The model was closed before.
  case closed(file: String)

  /// The kind's name, which is the same on Android.
  public var kind: String {
    switch self {
    case .missingRecord: "missing_record"
    case .schemaOlder: "schema_older"
    case .schemaNewer: "schema_newer"
    case .damaged: "damaged"
    case .notVouchedFor: "not_vouched_for"
    case .badPublicKey: "bad_public_key"
    case .runtimeAbsent: "runtime_absent"
    case .cannotOpen: "cannot_open"
    case .runFailed: "run_failed"
    case .takesTensors: "takes_tensors"
    case .photoTooSmall: "photo_too_small"
    case .photoTooLong: "photo_too_long"
    case .photoTooLarge: "photo_too_large"
    case .photoUnreadable: "photo_unreadable"
    case .outOfMemory: "out_of_memory"
    case .closed: "closed"
    }
  }

  /// What happened, to what, and what to do; for the person who holds the phone.
  public var errorDescription: String? {
    switch self {
    case .missingRecord, .schemaOlder, .schemaNewer, .damaged: ofContent
    case .notVouchedFor, .badPublicKey: ofTrust
    case .photoTooSmall, .photoTooLong, .photoTooLarge, .photoUnreadable: ofPhoto
    default: ofRuntime
    }
  }

  private var ofContent: String? {
    let reads = Metadata.schemaMajor
    return switch self {
    case .missingRecord(let file, let record):
      "\(file) has no \(record): it was not made by `python -m exporter`. Export the model again."
    case .schemaOlder(let file, let version):
      "\(file) has schema version \(version), and this app reads \(reads).x. Export the model again."
    case .schemaNewer(let file, let version):
      "\(file) has schema version \(version), and this app reads \(reads).x. Update the app."
    case .damaged(let file, let why):
      "\(file) is damaged or was not made by `python -m exporter`: \(why). Export it again."
    default: nil
    }
  }

  private var ofTrust: String? {
    switch self {
    case .notVouchedFor(let file, let key, _, let why):
      "\(file) was not opened: \(why), and this app takes only models that key \(key) signed. Get "
        + "the file again from those who sign it, or sign it: "
        + "`python -m exporter sign FILE --key KEY`."
    case .badPublicKey(let text):
      "The public key built into this app (\(text.prefix(80))) is not one of minisign's, so no "
        + "model is opened. Build the app again with the line RW... of "
        + "`python -m exporter keygen NAME`."
    default: nil
    }
  }

  private var ofRuntime: String? {
    switch self {
    case .runtimeAbsent(let file, let format, let remedy):
      "\(file) is for \(format.maker), which this app was built without. \(remedy), or export "
        + "the model with `--format \(format.other.rawValue)`."
    case .cannotOpen(let file, let why, let format):
      "\(file) does not load: \(why). It is damaged, or it needs an operator that this app's "
        + "runtime does not have. Check it on a computer with "
        + "`python -m runtime_check FILE --run-on \(format.runOn)`."
    case .runFailed(let file, let why, let format):
      "\(file) loaded but did not run: \(why). Check it on a computer with "
        + "`python -m runtime_check FILE --run-on \(format.runOn)`."
    case .takesTensors(let file, let inputs):
      "\(file) takes tensors, not photos (\(inputs)): it was exported with `--input tensor`. Its "
        + "golden vectors and its benchmark run; for photos export it without that."
    case .outOfMemory(let what):
      "Not enough memory for \(what). Close other apps, or choose a smaller one."
    case .closed(let file):
      "\(file) was closed: open it again."
    default: nil
    }
  }

  private var ofPhoto: String? {
    switch self {
    case .photoTooSmall(let width, let height, let limit):
      "This photo (\(width) x \(height)) is too small: the model needs at least \(limit) pixels "
        + "per side. Choose a larger one."
    case .photoTooLong(let width, let height, let limit):
      "This photo (\(width) x \(height)) is too long and narrow: the model takes up to \(limit) "
        + "times as long as wide. Crop it."
    case .photoTooLarge(let width, let height, let limit):
      "This photo (\(width) x \(height)) is too large: the model takes up to \(limit) pixels per "
        + "side. Make it smaller."
    case .photoUnreadable(let why):
      "This photo cannot be read: \(why). Try another, JPEG, PNG or WebP."
    default: nil
    }
  }
}
