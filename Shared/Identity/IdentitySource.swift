package import AMQP
package import Contracts
import Messaging

/// The source of truth about credentials: auth reads its database, and other services ask auth over the broker.
package protocol IdentitySource: Sendable {
    /// Ends by itself: over the broker within the limit of the call, from the database within the
    /// limits of the pool, which are about 80 s together if Postgres hangs.
    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply
    /// Returns nil for a key that is not valid, whatever the reason. Ends by itself like
    /// ``signingKeys(_:)``.
    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner?
    /// Returns nil for a cookie that is not valid, whatever the reason. Ends by itself like
    /// ``signingKeys(_:)``.
    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner?
}

/// Asks auth over `auth.rpc`.
package struct RemoteIdentitySource: IdentitySource {
    private let rpc: RPCClient
    private let limit: Duration

    package init(rpc: RPCClient, within limit: Duration = .seconds(2)) {
        self.rpc = rpc
        self.limit = limit
    }

    package func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        try await rpc.ask(question, within: limit)
    }

    package func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? {
        try await rpc.ask(key, for: APIKeyReply.self, within: limit).owner
    }

    package func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? {
        try await rpc.ask(cookie, for: SessionReply.self, within: limit).owner
    }
}
