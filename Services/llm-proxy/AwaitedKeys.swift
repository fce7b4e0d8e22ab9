import Contracts
import Identity
import Synchronization

/// The source of the proxy's credentials. It remembers whether auth has sent signing keys: a proxy without them can check
/// no token, so its serving port stays closed.
final class AwaitedKeys: IdentitySource {
    private let source: any IdentitySource
    private let came = Atomic(false)

    init(_ source: any IdentitySource) { self.source = source }

    /// True once auth has sent at least one signing key.
    var haveCome: Bool { came.load(ordering: .relaxed) }

    func signingKeys() async throws -> SigningKeysReply {
        let reply = try await source.signingKeys()
        if !reply.keys.isEmpty { came.store(true, ordering: .relaxed) }
        return reply
    }

    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? { try await source.owner(of: key) }
}
