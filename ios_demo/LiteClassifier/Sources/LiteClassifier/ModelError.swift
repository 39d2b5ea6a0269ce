import Foundation

/// What is wrong with a model file, in words for the person who holds the phone.
public enum ModelError: Error, Equatable, LocalizedError {
  /// A record of the file is absent: not made by our exporter.
  case missing(file: String, record: String)
  /// Another major version of the contract than this app reads.
  case unsupported(file: String, record: String, version: String)
  /// The record cannot be read; `why` names the field where one is to blame.
  case damaged(file: String, record: String, why: String)
  /// A program and the records behind it do not belong together, or cannot be read.
  case notWhole(file: String, why: String)
  /// The app is built with the other runtime.
  case otherRuntime(file: String, format: FileFormat)
  /// The runtime cannot open it; `why` is the runtime's own message.
  case unopened(file: String, why: String)
  /// The runtime cannot run it on this input; `why` is the runtime's own message.
  case runtime(file: String, why: String)
  /// The key that is built in did not sign it; `why` says what is wrong.
  case notVouchedFor(file: String, key: String, doubt: Doubt, why: String)
  /// What is built in is no key.
  case badPublicKey(String)
  /// The file is fine, but this is not what it takes.
  case input(why: String)

  public var errorDescription: String? {
    switch self {
    case .missing(let file, let record):
      "\(file) has no \(record): it was not made by this project's exporter. "
        + "Export the model with “python -m exporter” and install it again."
    case .unsupported(let file, let record, let version):
      "\(file): \(record) has schema version \(version), and this app reads "
        + "\(Metadata.schemaMajor).x. "
        + (Self.isNewer(version)
          ? "Update the app." : "Export the model again with the current exporter.")
    case .damaged(let file, let record, let why):
      "\(file): \(record) cannot be read (\(why)). The file is damaged; install the model again."
    case .notWhole(let file, let why):
      "\(file) is damaged or was not made by “python -m exporter”: \(why). Export it again."
    case .otherRuntime(let file, let format):
      "\(file) is for \(format.maker), which this app was built without. Build it with MODEL_RUNTIME "
        + "= \(format.setting) in Runtime.xcconfig, or export the model with “--format "
        + "\(format.other.rawValue)”."
    case .unopened(let file, let why):
      "\(file) could not be opened: it is damaged, or it needs operators that this app's runtime "
        + "does not have. Install the model again. The runtime says: \(why)"
    case .runtime(let file, let why):
      "\(file) could not be run: \(why)"
    case .notVouchedFor(let file, let key, _, let why):
      "\(file) was not opened: \(why), and this app takes only models that key \(key) signed. Get "
        + "the file again from those who sign it, or sign it: “python -m exporter sign FILE --key KEY”."
    case .badPublicKey(let text):
      "The public key built into this app (\(text.prefix(80))) is not one of minisign's, so no model "
        + "is opened. Build the app again with the line RW... of “python -m exporter keygen NAME”."
    case .input(let why):
      why
    }
  }

  private static func isNewer(_ version: String) -> Bool {
    (Int(version.prefix { $0 != "." }) ?? 0) > Metadata.schemaMajor
  }
}
