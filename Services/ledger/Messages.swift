import AMQP
import Contracts
import LedgerCore
import Telemetry

/// The queues that the ledger reads. A command is acknowledged when its decision is durable, or
/// when it is a row. The journal's key makes a second delivery harmless, so this path writes no
/// inbox row. An expiry may be dropped undecided, because the sweep asks again. A report may be
/// dropped when a larger report of its charge waits.
///
/// | queue | prefetch | messages | replicas |
/// |---|---|---|---|
/// | `ledger.rpc.hold` | 250 | `hold.place.v1`, `hold.extend.v1` | one reads, the others stand by |
/// | `ledger.cmd.charge` | 4,000 | `charge.settle.v2`, `hold.void.v1`, `hold.report.v1`, `hold.expire.v1` | the same |
/// | `ledger.cmd.billing` | 200 | `purchase.fulfilled.v1`, `purchase.reversed.v1` | the same |
/// | `ledger.query.requests` | 500 | `balance.query.v1`, `charge.query.v1` | all in turn |
struct LedgerMessages: Sendable {
    let consumers: [CommandConsumer]
    let queries: QueryConsumer

    /// - Parameter consumer: makes a consumer of a queue with the given prefetch.
    init(runner: BatchRunner, store: LedgerStore, log: Logger, consumer: (Queue, Int) throws -> AMQPConsumer)
        rethrows
    {
        consumers = [
            CommandConsumer(.holds, try consumer(Topology.ledgerHolds, 250), runner, log),
            CommandConsumer(.commands(Topology.ledgerCharges), try consumer(Topology.ledgerCharges, 4_000), runner, log),
            CommandConsumer(.commands(Topology.ledgerPurchases), try consumer(Topology.ledgerPurchases, 200), runner, log),
        ]
        queries = QueryConsumer(consumer: try consumer(Topology.ledgerQuestions, 500), store: store, log: log)
    }
}
