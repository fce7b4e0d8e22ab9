import AMQP
import Contracts
import EventLoop
import Messaging
import Telemetry

/// The events that every replica must get, over a queue of this process alone. It notices lost events
/// by the numbers of their publishers.
final class RevocationFeed: Sendable {
    private let consumer: AMQPConsumer
    private let state: SharedIdentityState
    private let clock: @Sendable () -> Moment
    private let log: Logger
    private let onGap: @Sendable () -> Void
    private let gaps = Metrics.shared.counter(
        "identity_revocation_gaps_total", help: "Revocation events that the broker did not deliver.")
    private let stale = Metrics.shared.gauge(
        "identity_revocations_stale", help: "1 while revocations are 30 s old or more.")

    /// - Parameters:
    ///   - service: the AMQP user; names the exclusive queue `<service>.inst.<instance>.<epoch>`.
    ///   - onGap: called on any thread when events may be missing.
    init(
        service: String, amqp: AMQPConfiguration, state: SharedIdentityState, clock: @escaping @Sendable () -> Moment, log: Logger,
        onGap: @escaping @Sendable () -> Void
    ) {
        (self.state, self.clock, self.log, self.onGap) = (state, clock, log, onGap)
        var configuration = amqp
        configuration.connectionName = "\(service):revocations"
        consumer = AMQPConsumer(
            configuration,
            source: .exclusive(
                prefix: "\(service).inst.\(Instance.name)", bindings: Topology.revocations.map { ($0.exchange.name, $0.routingKey) }),
            prefetch: 256, log: log,
            onConnected: {
                // At once, because the snapshot that is under way may not know of what was missed.
                state.withLock { $0.noteGap() }
                onGap()
            })
    }

    var isConnected: Bool { consumer.isConnected }

    /// Listens until it is cancelled or stopped.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.consumer.run() }
            group.addTask { try await self.listen() }
            group.addTask { try await self.watch() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    func stop() async { await consumer.stop() }

    private func listen() async throws {
        while true {
            let deliveries: [Delivery]
            do { deliveries = try await consumer.next(max: 256) } catch ConsumeError.stopped { return }
            for delivery in deliveries { hear(delivery) }
            for delivery in deliveries { consumer.ack(delivery) }
        }
    }

    private func hear(_ delivery: Delivery) {
        do {
            try learn(delivery)
        } catch {
            log.error("revocation malformed", ["message.type": .string(delivery.properties.type)], error: error)
        }
        guard let number = delivery.publishNumber else { return }
        let finding = state.withLock { $0.hear(number, now: clock()) }
        if finding == .gap {
            gaps.add()
            log.warning("revocation event missing", ["publish_number": .string(number.text)])
        }
        if finding != .complete { onGap() }
    }

    private func learn(_ delivery: Delivery) throws {
        switch delivery.properties.type {
        case SessionRevoked.name:
            let session = try SessionRevoked(reading: delivery.body)
            state.withLock { $0.revoke(session, now: clock()) }
        case APIKeyCreated.name:
            let key = try APIKeyCreated(reading: delivery.body)
            state.withLock { $0.learn(key) }
        case APIKeyRevoked.name:
            let key = try APIKeyRevoked(reading: delivery.body)
            state.withLock { $0.revoke(key.apiKeyID, now: clock()) }
        case UserChanged.name:
            let user = try UserChanged(reading: delivery.body)
            state.withLock { $0.learn(user, now: clock()) }
        case RevocationsHeartbeat.name: break
        // A later version of us may publish more under the same keys.
        default: log.debug("revocation of unknown type", ["message.type": .string(delivery.properties.type)])
        }
    }

    /// Looks each second for a silence, and for revocations that are too old.
    private func watch() async throws {
        guard let loop = EventLoop.current else { preconditionFailure("the feed runs on a loop") }
        var wasStale = false
        while true {
            try await loop.sleep(for: .seconds(1))
            let (endsSilence, isStale) = state.withLock { ($0.endsSilence(now: clock()), $0.isStale(now: clock())) }
            if endsSilence { onGap() }
            guard isStale != wasStale else { continue }
            wasStale = isStale
            stale.set(isStale ? 1 : 0)
            if isStale { log.warning("revocations unavailable") } else { log.info("revocations recovered") }
        }
    }
}
