package import Contracts
package import Messaging
package import Postgres

/// The work that a service does for one type of message from one queue.
package struct Subscription: Sendable {
    typealias Work = @Sendable (Envelope, PostgresTransaction) async throws -> Void

    let queue: Queue
    let type: String
    /// Reads the body; what it gives is run, as often as needed.
    let prepare: @Sendable ([UInt8]) throws -> Work

    /// `handler` runs in the transaction that claims the message: its effect and the claim are committed together, then the message
    /// is acknowledged. It may run again when that fails, so what it does outside the transaction must bear repetition.
    ///
    /// It throws ``MessageRefused`` for what no repetition will mend; any other error is tried again.
    package static func on<M: Message>(
        _ type: M.Type, from queue: Queue, _ handler: @escaping @Sendable (M, Envelope, PostgresTransaction) async throws -> Void
    ) -> Subscription {
        Subscription(queue: queue, type: M.name) { body in
            let message = try M(reading: body)
            return { envelope, transaction in try await handler(message, envelope, transaction) }
        }
    }
}

/// A message that can never be handled: an account that does not exist, a content that contradicts what is known. It is parked at
/// once, for a person.
package struct MessageRefused: Error, Sendable, CustomStringConvertible {
    /// Short and constant, to group by: `unknown_account`.
    package let errorClass: String
    package let description: String

    package init(_ errorClass: String, _ description: String) {
        self.errorClass = errorClass
        self.description = description
    }
}
