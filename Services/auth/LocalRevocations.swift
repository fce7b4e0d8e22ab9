import Contracts
import Identity
import Synchronization

/// Tells the authenticator of this process about a committed revocation, before the broker brings the
/// event.
final class LocalRevocations: Sendable {
    private let state = Mutex<Authenticator?>(nil)

    var listener: Authenticator? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    func tell(_ session: SessionRevoked) { listener?.revoke(session) }
    func tell(_ key: APIKeyRevoked) { listener?.revoke(key) }
}
