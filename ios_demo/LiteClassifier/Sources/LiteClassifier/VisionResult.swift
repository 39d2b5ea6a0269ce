import Foundation

/// What a model made of a photo, and what that took.
public struct VisionResult: Equatable, Sendable {
  /// What the outputs mean for the model's task.
  public internal(set) var content: VisionContent
  /// Every output with its name and what the metadata say of it, in the metadata's order.
  public let outputs: [NamedOutput]
  /// The outputs that do not show in `content`.
  public let others: [OutputRow]
  /// Wall-clock time of `forward` in ms, preprocessing included where it is in the graph.
  public let milliseconds: Double
  /// Memory of the whole app afterwards, in MB of 10^6 bytes; nil where it cannot be read.
  public let memoryMegabytes: Double?
  /// Size in pixels of the image that went in, after decoding. What is drawn over the photo, and
  /// every box and point, lies on it.
  public let width: Int
  public let height: Int

  /// Put a result together by hand, for previews and tests.
  public init(
    content: VisionContent, outputs: [NamedOutput] = [], others: [OutputRow] = [],
    milliseconds: Double, memoryMegabytes: Double? = nil, width: Int, height: Int
  ) {
    (self.content, self.outputs, self.others) = (content, outputs, others)
    (self.milliseconds, self.memoryMegabytes) = (milliseconds, memoryMegabytes)
    (self.width, self.height) = (width, height)
  }

  /// Say how similar the embedding is to another photo's; any other result stays as it is.
  public func compared(to other: VisionResult?) -> VisionResult {
    guard case .embedding(var mine) = content, case .embedding(let theirs)? = other?.content
    else { return self }
    mine.similarity = cosineSimilarity(mine.values, theirs.values)
    var result = self
    result.content = .embedding(mine)
    return result
  }
}
