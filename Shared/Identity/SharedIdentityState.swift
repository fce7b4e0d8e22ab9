import Synchronization

/// The knowledge of the process about credentials. The thread of the event feed's connection notes there
/// that events may be missing.
final class SharedIdentityState: Sendable {
    private let state = Mutex(IdentityState())

    func withLock<Value: Sendable>(_ body: (inout IdentityState) -> Value) -> Value { state.withLock { body(&$0) } }
}
