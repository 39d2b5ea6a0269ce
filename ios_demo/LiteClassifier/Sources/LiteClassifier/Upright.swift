/// Which stored pixel comes next when a picture is read upright.
struct UprightWalk {
  /// Size of the upright picture.
  let width: Int
  let height: Int
  /// The stored pixel of the first upright one, counted row by row.
  let first: Int
  /// How far it is to the next one in the same row, and to the one below.
  let across: Int
  let down: Int

  /// - Parameters:
  ///   - width: of the stored picture, in pixels.
  ///   - height: likewise.
  ///   - orientation: EXIF's, 1 to 8; anything else counts as 1, as viewers do.
  ///   - row: how many pixels lie between the starts of two rows, at least `width`.
  init(width: Int, height: Int, orientation: Int, row: Int) {
    (self.width, self.height) =
      orientation >= 5 && orientation <= 8
      ? (height, width) : (width, height)
    let lastRow = (height - 1) * row
    (first, across, down) =
      switch orientation {
      case 2: (width - 1, -1, row)
      case 3: (lastRow + width - 1, -1, -row)
      case 4: (lastRow, 1, -row)
      case 5: (0, row, 1)
      case 6: (lastRow, -row, 1)
      case 7: (lastRow + width - 1, -row, -1)
      case 8: (width - 1, row, -1)
      default: (0, 1, row)
      }
  }
}

extension RGBImage {
  /// Turn and mirror the stored image so that it is upright.
  ///
  /// `orientation` is EXIF's, 1 to 8; anything else counts as 1, as viewers do.
  public func upright(orientation: Int) -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let walk = UprightWalk(width: width, height: height, orientation: orientation, row: width)
    func turned(_ stored: [UInt8], _ channels: Int) -> [UInt8] {
      [UInt8](unsafeUninitializedCapacity: stored.count) { out, count in
        var target = 0
        for y in 0..<walk.height {
          var source = (walk.first + y * walk.down) * channels
          for _ in 0..<walk.width {
            for channel in 0..<channels { out[target + channel] = stored[source + channel] }
            target += channels
            source += walk.across * channels
          }
        }
        count = target
      }
    }
    return RGBImage(
      width: walk.width, height: walk.height, bytes: turned(bytes, 3),
      alpha: alpha.map { turned($0, 1) }) ?? self
  }
}

/// The EXIF orientation of a sensor image that is upright after this clockwise turn, in degrees.
public func exifOrientation(angle: Double) -> Int {
  switch (Int(angle.rounded()) % 360 + 360) % 360 {
  case 45..<135: 6
  case 135..<225: 3
  case 225..<315: 8
  default: 1
  }
}
