import Foundation

/// Return the median: of an even count the mean of the middle two. Nil of nothing.
public func median(_ samples: [Double]) -> Double? {
  guard !samples.isEmpty else { return nil }
  let ordered = samples.sorted()
  let middle = ordered.count / 2
  return ordered.count.isMultiple(of: 2)
    ? (ordered[middle - 1] + ordered[middle]) / 2 : ordered[middle]
}

/// Return the 95th percentile by nearest rank, so always a time that was measured. Nil of nothing.
public func percentile95(_ samples: [Double]) -> Double? {
  guard !samples.isEmpty else { return nil }
  let rank = (samples.count * 95 + 99) / 100
  return samples.sorted()[max(rank, 1) - 1]
}

/// Time `body` in milliseconds on a clock that never goes back.
func milliseconds<Result>(_ body: () throws -> Result) rethrows -> (Result, Double) {
  let clock = ContinuousClock()
  let start = clock.now
  let result = try body()
  let (seconds, attoseconds) = (clock.now - start).components
  return (result, Double(seconds) * 1e3 + Double(attoseconds) / 1e15)
}
