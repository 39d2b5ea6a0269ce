/// Unpack raw deflate (RFC 1951), as records of a zip hold it, to exactly `size` bytes.
///
/// Nil for anything that is damaged or unpacks to another size. Ours, because Foundation's is
/// Apple's alone and these lines are the same everywhere; only small records are deflated, weights
/// are stored.
func inflate(_ packed: UnsafeRawBufferPointer, size: Int) -> [UInt8]? {
  var bits = BitReader(packed)
  var out: [UInt8] = []
  // What a file claims is not yet there: room grows with the data.
  out.reserveCapacity(min(size, 1 << 20))
  var isLast = false
  while !isLast {
    guard let last = bits.take(1), let kind = bits.take(2) else { return nil }
    isLast = last == 1
    let done =
      switch kind {
      case 0: bits.copyStored(to: &out, size)
      case 1: bits.copyPacked(to: &out, size, Codes.fixedLiterals, Codes.fixedDistances)
      case 2: bits.readCodes().map { bits.copyPacked(to: &out, size, $0.0, $0.1) } ?? false
      default: false
      }
    guard done else { return nil }
  }
  return out.count == size ? out : nil
}

/// The symbol after those of the bytes.
private let endOfBlock = 0x100

/// Canonical Huffman codes: how many have each length, and their symbols in order.
private struct Codes {
  var counts = [Int](repeating: 0, count: 16)
  var symbols: [Int] = []

  static let fixedLiterals = Codes(
    [Int](repeating: 8, count: 144) + [Int](repeating: 9, count: 112)
      + [Int](repeating: 7, count: 24) + [Int](repeating: 8, count: 8))!
  static let fixedDistances = Codes([Int](repeating: 5, count: 30))!

  /// Nil where more codes are asked for than there are; fewer are fine until one is missing.
  init?(_ lengths: [Int]) {
    for length in lengths { counts[length] += 1 }
    counts[0] = 0
    var left = 1
    var starts = [Int](repeating: 0, count: 17)
    for length in 1..<16 {
      left = 2 * left - counts[length]
      if left < 0 { return nil }
      starts[length + 1] = starts[length] + counts[length]
    }
    symbols = [Int](repeating: 0, count: starts[16])
    for (symbol, length) in lengths.enumerated() where length > 0 {
      symbols[starts[length]] = symbol
      starts[length] += 1
    }
  }
}

private struct BitReader {
  private let bytes: UnsafeRawBufferPointer
  private var next = 0
  private var held = 0
  private var count = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next `wanted` bits, at most 16, lowest first; nil at the end.
  mutating func take(_ wanted: Int) -> Int? {
    while count < wanted {
      guard next < bytes.count else { return nil }
      held |= Int(bytes[next]) << count
      next += 1
      count += 8
    }
    let value = held & (1 << wanted - 1)
    held >>= wanted
    count -= wanted
    return value
  }

  private mutating func symbol(_ codes: Codes) -> Int? {
    var (code, first, index) = (0, 0, 0)
    for length in 1..<16 {
      guard let bit = take(1) else { return nil }
      code |= bit
      let many = codes.counts[length]
      if code - first < many { return codes.symbols[index + code - first] }
      index += many
      first = (first + many) << 1
      code <<= 1
    }
    return nil
  }

  mutating func copyStored(to out: inout [UInt8], _ size: Int) -> Bool {
    held = 0
    count = 0
    guard let length = take(16), let inverse = take(16), length == inverse ^ 0xFFFF,
      next + length <= bytes.count, out.count + length <= size
    else { return false }
    out.append(contentsOf: bytes[next..<next + length])
    next += length
    return true
  }

  mutating func copyPacked(to out: inout [UInt8], _ size: Int, _ literals: Codes, _ far: Codes)
    -> Bool
  {
    while let symbol = symbol(literals) {
      if symbol == endOfBlock { return true }
      if symbol < endOfBlock {
        guard out.count < size else { return false }
        out.append(UInt8(symbol))
        continue
      }
      guard symbol < 286, let more = take(Self.lengthBits[symbol - endOfBlock - 1]),
        let code = self.symbol(far), code < 30, let farther = take(Self.distanceBits[code])
      else { return false }
      let length = Self.lengths[symbol - endOfBlock - 1] + more
      let distance = Self.distances[code] + farther
      guard distance <= out.count, out.count + length <= size else { return false }
      for _ in 0..<length { out.append(out[out.count - distance]) }
    }
    return false
  }

  /// The codes that a block brings along: literals with lengths, and distances.
  mutating func readCodes() -> (Codes, Codes)? {
    guard let literals = take(5), let distances = take(5), let few = take(4),
      literals <= 29, distances <= 29
    else { return nil }
    var own = [Int](repeating: 0, count: 19)
    for index in 0..<few + 4 {
      guard let length = take(3) else { return nil }
      own[Self.order[index]] = length
    }
    guard let codes = Codes(own) else { return nil }
    var lengths: [Int] = []
    let total = literals + endOfBlock + 1 + distances + 1
    while lengths.count < total {
      guard let symbol = symbol(codes) else { return nil }
      if symbol < 16 {
        lengths.append(symbol)
        continue
      }
      let (bits, base) = [(2, 3), (3, 3), (7, 11)][symbol - 16]
      guard let more = take(bits), lengths.count + base + more <= total,
        symbol != 16 || !lengths.isEmpty
      else { return nil }
      let value = symbol == 16 ? lengths[lengths.count - 1] : 0
      lengths += [Int](repeating: value, count: base + more)
    }
    guard lengths[endOfBlock] > 0,
      let first = Codes(Array(lengths[..<(literals + endOfBlock + 1)])),
      let second = Codes(Array(lengths[(literals + endOfBlock + 1)...]))
    else { return nil }
    return (first, second)
  }

  private static let order = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
  ]
  private static let lengthBits = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBits = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
  ]
  private static let lengths = starts(lengthBits, from: 3).dropLast() + [258]
  private static let distances = starts(distanceBits, from: 1)

  private static func starts(_ bits: [Int], from first: Int) -> [Int] {
    bits.reduce(into: [first]) { $0.append($0[$0.count - 1] + 1 << $1) }.dropLast()
  }
}
