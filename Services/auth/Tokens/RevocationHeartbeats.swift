import AMQP
import Contracts
import Identity
import Jobs
import Messaging
import Values

/// The heartbeats of this replica's publisher. With their numbers every other replica notices that a
/// revocation of this publisher was lost, also the last one.
struct RevocationHeartbeats: Sendable {
    let publisher: AMQPPublisher
    let authenticator: Authenticator

    /// Less than the silence after which a replica asks for a snapshot.
    static let interval: Duration = .seconds(2)

    var job: Job { Job("revocation heartbeat", every: Self.interval) { try beat() } }

    /// Does nothing while no queue is bound: the broker would keep the heartbeats for the operators.
    private func beat() throws {
        guard publisher.isConnected, authenticator.isListening else { return }
        var message = OutgoingMessage(RevocationsHeartbeat(), from: "auth")
        message.isNumbered = true
        message.properties.persistent = false
        try publisher.send(message, within: Self.interval)
    }
}
