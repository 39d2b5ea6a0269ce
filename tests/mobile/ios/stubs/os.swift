import Foundation

/// A lock that hands out the state it guards; Apple's checks what goes in and out the same way.
public struct OSAllocatedUnfairLock<State>: @unchecked Sendable {
  private final class Held {
    var state: State
    let lock = NSLock()
    init(_ state: State) { self.state = state }
  }

  private let held: Held

  public init(initialState: State) where State: Sendable { held = Held(initialState) }

  public func withLock<Result: Sendable>(_ body: @Sendable (inout State) throws -> Result) rethrows
    -> Result
  {
    held.lock.lock()
    defer { held.lock.unlock() }
    return try body(&held.state)
  }
}
