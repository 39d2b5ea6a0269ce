import Foundation
// Whoever imports the runtime has the API with it.
@_exported import LiteClassifier

extension VisionModel {
  /// Open a model file with the runtime that is linked: `.ptl` with PyTorch's lite interpreter,
  /// `.pte` with ExecuTorch.
  ///
  /// - Parameters:
  ///   - threads: how many one inference uses, in every model of the process.
  ///   - trust: who must have signed the file; by default anybody.
  /// - Throws: ``VisionError``.
  public static func open(
    _ file: URL, threads: Int = defaultThreads, trust: Trust? = .anybody
  ) async throws -> VisionModel {
    try await open(file, runtime: LiteFile.self, threads: threads, trust: trust)
  }
}

extension Trust? {
  /// Nobody has to have signed a file. Where there is CryptoKit, the program of a `.pte` is hashed
  /// all the same: it must be the one that its metadata were written for.
  public static var anybody: Trust? {
    #if canImport(CryptoKit)
      Trust(publicKey: "", cryptography: AppleCryptography())
    #else
      nil
    #endif
  }
}
