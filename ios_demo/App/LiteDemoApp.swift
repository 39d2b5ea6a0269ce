import CryptoKit
import Foundation
import LiteClassifier
import SwiftUI

// Where the Swift package brings the runtime; else LiteFile.swift is a source of this target.
#if canImport(LiteRuntime)
  import LiteRuntime
#endif

@main
struct LiteDemoApp: App {
  @State private var model = ClassifierModel.installed

  var body: some Scene {
    WindowGroup {
      ContentView(model: model)
    }
  }
}

extension ClassifierModel {
  /// The models in `folder`, run by the runtime that is linked.
  static func of(_ folder: URL) -> ClassifierModel {
    ClassifierModel(
      folder: folder, runtime: LiteFile.self,
      trust: Trust(publicKey: Bundle.main.modelPublicKey, cryptography: AppleCryptography()),
      app: Bundle.main.nameAndVersion, digest: sha256)
  }

  /// The models that came with the app.
  static var installed: ClassifierModel {
    of(Bundle.main.bundleURL.appendingPathComponent("Models", isDirectory: true))
  }
}

extension Bundle {
  /// The key that models have to be signed with; blank where nothing is demanded.
  fileprivate var modelPublicKey: String {
    object(forInfoDictionaryKey: "ModelPublicKey") as? String ?? ""
  }

  fileprivate var nameAndVersion: String {
    let name = object(forInfoDictionaryKey: "CFBundleName") as? String ?? "LiteDemo"
    let version = object(forInfoDictionaryKey: "CFBundleShortVersionString") as? String ?? "0"
    return "\(name) \(version)"
  }
}

/// Hash a file, without holding it in memory twice; nil when it cannot be read.
@Sendable private func sha256(_ file: URL) -> String? {
  guard let data = try? Data(contentsOf: file, options: .mappedIfSafe) else { return nil }
  return SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined()
}
