import Foundation

/// A photo that can be decoded at several sizes; the model picks the one it needs.
public struct Photo: Sendable {
  /// Size of the upright photo in pixels.
  public let width: Int
  public let height: Int
  /// Decode upright, both sides divided by the given power of two.
  public let decode: @Sendable (_ sample: Int) throws -> RGBImage

  /// Take a photo of `width` x `height` pixels that `decode` gives when a model has said how large.
  public init(
    width: Int, height: Int, decode: @escaping @Sendable (_ sample: Int) throws -> RGBImage
  ) {
    self.width = width
    self.height = height
    self.decode = decode
  }

  /// Take an image that is decoded already, such as a camera frame.
  public init(_ image: RGBImage) {
    self.init(width: image.width, height: image.height) { image.shrunk($0) }
  }

  /// Decode; any error is a `VisionError`.
  func decoded(_ sample: Int) throws -> RGBImage {
    do {
      return try decode(sample)
    } catch let error as VisionError {
      throw error
    } catch {
      throw VisionError.photoUnreadable(why: readable(error))
    }
  }
}

extension RGBImage {
  /// Average squares of `sample` x `sample` pixels into one; what is left at the edges is dropped.
  func shrunk(_ sample: Int) -> RGBImage {
    guard sample > 1 else { return self }
    let (newWidth, newHeight) = (width / sample, height / sample)
    let area = sample * sample
    var out: [UInt8] = []
    out.reserveCapacity(newWidth * newHeight * 3)
    for y in 0..<newHeight {
      for x in 0..<newWidth {
        var sums = (0, 0, 0)
        for row in y * sample..<(y + 1) * sample {
          var source = (row * width + x * sample) * 3
          for _ in 0..<sample {
            sums.0 += Int(bytes[source])
            sums.1 += Int(bytes[source + 1])
            sums.2 += Int(bytes[source + 2])
            source += 3
          }
        }
        out.append(UInt8((sums.0 + area / 2) / area))
        out.append(UInt8((sums.1 + area / 2) / area))
        out.append(UInt8((sums.2 + area / 2) / area))
      }
    }
    // A square larger than the image leaves nothing to average; no plan asks for that.
    return RGBImage(width: newWidth, height: newHeight, bytes: out) ?? self
  }
}
