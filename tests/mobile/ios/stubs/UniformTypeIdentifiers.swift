public struct UTType: Sendable {
  public static let json = UTType()
  init() {}
  public init(importedAs identifier: String) {}
}
