import Contracts
import EventLoop
import Telemetry

/// The parts that the calls of one loop share. It is a class so that each call keeps one reference.
final class CallServices: Sendable {
    let loop: EventLoop
    let ledger: LedgerClient
    let providers: ProviderConnections
    let shared: ReplicaState
    let log: Logger

    init(loop: EventLoop, ledger: LedgerClient, providers: ProviderConnections, shared: ReplicaState, log: Logger) {
        (self.loop, self.ledger, self.providers, self.shared, self.log) = (loop, ledger, providers, shared, log)
    }
}

/// The state that the loops of one replica share.
struct ReplicaState: Sendable {
    let funds = FundsLines()
    let watch = ProviderWatch()
    let breakers = CircuitBreakers()
    let operations = Operations()
    let metrics = CallMetrics()
    /// Takes the receipt of each call that ended. It returns at once.
    var keepReceipt: @Sendable (Receipt) -> Void = { _ in }
    /// Switches off a route that served what has no price. It returns at once.
    var switchOff: @Sendable (Catalogue.Model) -> Void = { _ in }
    /// The time for which the gateway keeps a provider's call after a client hung up before the
    /// answer began.
    var listensFor = Duration.seconds(10)
    /// True if no account pays for the calls of our own servers.
    var skipsServiceCalls = false

    /// Counts a call that ended, and keeps its receipt.
    func note(_ receipt: Receipt) {
        metrics.record(receipt)
        keepReceipt(receipt)
    }
}
