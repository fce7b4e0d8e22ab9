package import AMQP
package import Contracts
import Telemetry
import Values

/// Where the truth about credentials is asked: auth itself reads its database, everybody else asks auth over the broker.
package protocol IdentitySource: Sendable {
    /// Ends by itself: over the broker within the limit of the call, from the database within the
    /// limits of the pool, which are about 80 s together if Postgres hangs.
    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply
    /// Returns nil for a key that is not valid, whatever the reason. Ends by itself like
    /// ``signingKeys(_:)``.
    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner?
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
        try await call(question, SigningKeysReply.self)
    }

    package func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? {
        try await call(key, APIKeyReply.self).owner
    }

    private func call<Question: Message, Answer: Message>(_ question: Question, _: Answer.Type) async throws -> Answer {
        let headers = TraceContext.current.map { [("traceparent", $0.child().traceparent)] } ?? []
        let delivery = try await rpc.call(
            exchange: Question.exchange.name, routingKey: question.routingKey, type: Question.name, body: question.encoded(),
            headers: headers, messageID: MessageID.make().description, within: limit)
        return try Answer(decoding: delivery.body)
    }
}
