import AMQP
import Contracts
import EventLoop
import Foundation
import Synchronization
import Telemetry

/// The ledger as the proxies use it (hold by RPC, then a confirmed settlement) beside pgbench's TPC-B on the same Postgres.
struct LedgerBench {
    let stack: BenchStack
    let loop: EventLoop

    static let repetitions = 3
    static let seconds = 5

    func run() async throws {
        let account = try await BenchAccount.make(stack, on: loop)
        let url = try stack.broker("llm-proxy")
        let log = Logger(service: "llm-proxy", level: .error)
        let requests = RPCClient(try AMQPConfiguration(url: url, connectionName: "bench:rpc"), service: "llm-proxy", log: log)
        let publisher = AMQPPublisher(try AMQPConfiguration(url: url, connectionName: "bench:publish"), log: log)
        let running = [Task(executorPreference: loop) { await requests.run() }, Task(executorPreference: loop) { await publisher.run() }]
        defer { for task in running { task.cancel() } }
        guard await requests.connected(within: .seconds(5)), await publisher.connected(within: .seconds(5)) else {
            throw BenchError(description: "no connection to the broker")
        }
        let load = LedgerLoad(requests: requests, publisher: publisher, account: account.id)
        print("Medians of \(Self.repetitions) alternating runs of \(Self.seconds) s; one operation is a hold or a settlement.\n")
        try preparePgbench()
        var table = Table(header: ["clients", "ledger operations/s", "hold p50 ms", "hold p99 ms", "pgbench TPC-B tps", "operations / tps"])
        for clients in [1, 16, 64, 256] {
            var ours: [LedgerLoad.Result] = []
            var theirs: [Double] = []
            for _ in 0..<Self.repetitions {
                ours.append(try await load.run(clients, for: .seconds(Self.seconds)))
                try await Backlog(stack).drained(on: loop)
                theirs.append(try pgbench(clients: min(clients, 64)))
            }
            let rate = ours.map(\.perSecond).median
            table.rows.append([
                "\(clients)", rounded(rate, 0), rounded(ours.map(\.p50).median), rounded(ours.map(\.p99).median), rounded(theirs.median, 0),
                rounded(rate / theirs.median),
            ])
            let failed = ours.map(\.failed).reduce(0, +)
            if failed > 0 { print("\(failed) holds failed with \(clients) clients\n") }
        }
        table.print()
    }

    private static let pgbenchPath = "/usr/lib/postgresql/15/bin/pgbench"

    private var pgbenchDatabase: String {
        get throws {
            let url = try stack.database("superuser_url")
            return url[..<(url.lastIndex(of: "/") ?? url.endIndex)] + "/pgbench"
        }
    }

    private func preparePgbench() throws {
        let url = try stack.database("superuser_url")
        _ = try? execute("/usr/bin/psql", [url, "-qc", "CREATE DATABASE pgbench"])
        _ = try execute(Self.pgbenchPath, ["-q", "-i", "-s", "20", try pgbenchDatabase])
    }

    private func pgbench(clients: Int) throws -> Double {
        let output = try execute(
            Self.pgbenchPath, ["-n", "-c", "\(clients)", "-j", "1", "-T", "\(Self.seconds)", try pgbenchDatabase])
        guard let line = output.split(separator: "\n").first(where: { $0.hasPrefix("tps = ") }),
            let tps = line.split(separator: " ").dropFirst(2).first.flatMap({ Double($0) })
        else { throw BenchError(description: "pgbench: \(output)") }
        return tps
    }
}

/// So many callers at once, each holding and then settling, as fast as the ledger answers.
struct LedgerLoad: Sendable {
    let requests: RPCClient
    let publisher: AMQPPublisher
    let account: AccountID

    struct Result {
        var perSecond = 0.0
        var p50 = 0.0
        var p99 = 0.0
        var failed = 0
    }

    private final class Samples: Sendable {
        let state = Mutex((latencies: [Double](), failed: 0))
    }

    func run(_ clients: Int, for limit: Duration) async throws -> Result {
        let samples = Samples()
        let start = MonotonicInstant.current()
        let deadline = start + limit
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<clients {
                group.addTask {
                    while MonotonicInstant.current() < deadline {
                        let asked = MonotonicInstant.current()
                        let charge = ChargeID.make()
                        guard await holds(charge) else {
                            samples.state.withLock { $0.failed += 1 }
                            continue
                        }
                        let latency = (MonotonicInstant.current() - asked).milliseconds
                        samples.state.withLock { $0.latencies.append(latency) }
                        await settle(charge)
                    }
                }
            }
        }
        let seconds = Double((MonotonicInstant.current() - start).nanoseconds) / 1e9
        let (latencies, failed) = samples.state.withLock { $0 }
        return Result(
            perSecond: Double(latencies.count * 2) / seconds, p50: latencies.median, p99: latencies.percentile(99), failed: failed)
    }

    private func holds(_ charge: ChargeID) async -> Bool {
        let hold = PlaceHold(
            chargeID: charge, accountID: account, amount: Credits(nano: 2_000), amountLeast: Credits(nano: 1_000),
            timeToLiveMilliseconds: 60_000, holder: "bench", apiKeyID: nil)
        let answer = try? await requests.call(
            exchange: PlaceHold.exchange.name, routingKey: PlaceHold.routingKey, type: PlaceHold.name, body: hold.encoded(),
            messageID: MessageID.make().description, within: .seconds(5))
        return answer.flatMap { try? HoldReply(decoding: $0.body) }?.status == .granted
    }

    private func settle(_ charge: ChargeID) async {
        let facts = CallFacts(
            model: "sim-fast", provider: "simulator", promptTokens: 10, completionTokens: 10, isEstimated: false, end: .completed,
            priceVersion: 1, costPicoUSD: 50_000_000, markupBasisPoints: 1_500, operation: nil, apiKeyID: nil)
        let settlement = SettleCharge(chargeID: charge, accountID: account, amount: Credits(nano: 1_500), call: facts)
        let properties = MessageProperties(
            messageID: MessageID.make().description, type: SettleCharge.name, timestamp: UInt64(Instant.now().seconds))
        try? await publisher.publish(
            OutgoingMessage(
                exchange: SettleCharge.exchange.name, routingKey: SettleCharge.routingKey, body: settlement.encoded(),
                properties: properties),
            within: .seconds(5))
    }
}
