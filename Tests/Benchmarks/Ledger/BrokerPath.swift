import AMQP
import Contracts
import EventLoop
import Foundation
import HTTPClient
import Synchronization
import Telemetry
import Values

/// The ledger as the proxies use it: a hold by RPC, then a settlement that the broker has confirmed.
final class BrokerPath: Sendable {
    private let stack: BenchStack
    private let loop: EventLoop
    private let requests: RPCClient
    private let publisher: AMQPPublisher
    private let accounts: [AccountID]
    private let running: [Task<Void, Never>]

    private init(
        _ stack: BenchStack, _ loop: EventLoop, _ requests: RPCClient, _ publisher: AMQPPublisher, accounts: [AccountID],
        running: [Task<Void, Never>]
    ) {
        (self.stack, self.loop, self.requests, self.publisher) = (stack, loop, requests, publisher)
        (self.accounts, self.running) = (accounts, running)
    }

    /// - Parameter accounts: so many, with credits for the whole run.
    static func connected(to stack: BenchStack, accounts: Int, on loop: EventLoop) async throws -> BrokerPath {
        let url = try stack.broker("llm-proxy")
        let log = Logger(service: "llm-proxy", level: .error)
        let requests = RPCClient(
            try AMQPConfiguration(url: url, connectionName: "bench:rpc"), service: "llm-proxy", repliesThrough: Topology.rpcReply.name,
            answeredBy: "ledger", log: log)
        let publisher = AMQPPublisher(try AMQPConfiguration(url: url, connectionName: "bench:publish"), log: log)
        let running = [Task(executorPreference: loop) { await requests.run() }, Task(executorPreference: loop) { await publisher.run() }]
        guard await requests.connected(within: .seconds(5)), await publisher.connected(within: .seconds(5)) else {
            throw BenchError(description: "no connection to the broker")
        }
        let ids = (0..<accounts).map { _ in AccountID.make() }
        try await grant(to: ids, stack, on: loop)
        return BrokerPath(stack, loop, requests, publisher, accounts: ids, running: running)
    }

    func disconnect() { for task in running { task.cancel() } }

    private static func grant(to accounts: [AccountID], _ stack: BenchStack, on loop: EventLoop) async throws {
        let configuration = try AMQPConfiguration(url: stack.broker("billing"), connectionName: "bench:grants")
        let billing = AMQPPublisher(configuration, log: Logger(service: "billing", level: .error))
        let running = Task(executorPreference: loop) { await billing.run() }
        defer { running.cancel() }
        guard await billing.connected(within: .seconds(5)) else { throw BenchError(description: "no connection to the broker") }
        let grants = accounts.map { account in
            let grant = PurchaseFulfilled(
                chargeID: .make(), accountID: account, kind: .purchase, amount: Credits(whole: 1_000_000), description: "bench",
                expiresAt: nil)
            return OutgoingMessage(
                exchange: PurchaseFulfilled.exchange.name, routingKey: grant.routingKey, body: grant.encoded(),
                properties: properties(PurchaseFulfilled.name))
        }
        for result in await billing.publish(batch: grants, within: .seconds(30)) { try result.get() }
        let url = try stack.superuserURL(database: "smartspec")
        for _ in 0..<300 {
            if Int(try query(url, "SELECT count(*) FROM ledger.account WHERE posted > 0")) ?? 0 >= accounts.count { return }
            try await loop.sleep(for: .milliseconds(100))
        }
        throw BenchError(description: "the ledger does not take grants")
    }

    // MARK: As fast as it answers

    /// Counted are the ledger's own decisions, so that settlements which pile up in their queue do not pass for work done.
    func run(accounts: Int, callers: Int, for limit: Duration) async throws -> PathResult {
        let samples = Samples()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            let begun = try await LedgerCount(stack, on: loop)
            for _ in 0..<callers {
                group.addTask {
                    while !samples.isOver { await self.call(accounts, due: .current(), into: samples) }
                }
            }
            try await loop.sleep(for: .milliseconds(500))
            samples.clear()
            let before = try await LedgerCount(stack, on: loop)
            try await loop.sleep(for: limit)
            let after = try await LedgerCount(stack, on: loop)
            var result = samples.result
            samples.end()
            try await group.waitForAll()
            result.operations = Int(after.commands - before.commands)
            result.operationsInAll = Int(try await LedgerCount(stack, on: loop).commands - begun.commands)
            result.seconds = Double((after.at - before.at).nanoseconds) / 1e9
            result.batches = Int(after.batches - before.batches)
            result.batchSeconds = after.batchSeconds - before.batchSeconds
            return result
        }
    }

    // MARK: At a rate

    /// Holds that arrive evenly, whether or not earlier ones are answered.
    func arrivals(perSecond rate: Double, for limit: Duration) async -> LatencyResult {
        let samples = Samples()
        let count = Int(rate * limit.milliseconds / 1_000)
        // A thread of its own sends: the loop's timers are whole milliseconds apart.
        let calls = AsyncStream<Task<Void, Never>> { calls in
            let (loop, begun) = (loop, MonotonicInstant.current())
            spawnThread(name: "arrivals") { [self] in
                for index in 0..<count {
                    let due = begun + .nanoseconds(Int64(Double(index) / rate * 1e9))
                    sleep(until: due)
                    calls.yield(Task(executorPreference: loop) { await self.call(self.accounts.count, due: due, into: samples) })
                }
                calls.finish()
            }
        }
        for await call in calls { await call.value }
        let result = samples.result
        return LatencyResult(
            milliseconds: result.holdMilliseconds, lateMilliseconds: samples.lateMilliseconds, failed: result.failed,
            seconds: limit.milliseconds / 1_000)
    }

    // MARK: One call

    private func call(_ accounts: Int, due: MonotonicInstant, into samples: Samples) async {
        let account = self.accounts[Int.random(in: 0..<accounts)]
        let charge = ChargeID.make()
        let begun = MonotonicInstant.current()
        guard let reply = await hold(charge, of: account) else { return samples.noteFailure() }
        samples.note(reply.status, (MonotonicInstant.current() - due).milliseconds, late: (begun - due).milliseconds)
        guard reply.status == .granted else { return }
        if await !settle(charge, of: account) { samples.noteFailure() }
    }

    private func hold(_ charge: ChargeID, of account: AccountID) async -> HoldReply? {
        let hold = PlaceHold(
            chargeID: charge, accountID: account,
            amounts: HoldAmounts(most: Credits(nano: 2_000), usual: Credits(nano: 1_000), least: Credits(nano: 1_000)),
            timeToLiveMilliseconds: 60_000, replica: "bench", apiKeyID: nil)
        let answer = try? await requests.call(
            exchange: PlaceHold.exchange.name, routingKey: hold.routingKey, type: PlaceHold.name, body: hold.encoded(),
            headers: Self.headers(), messageID: MessageID.make().description, within: .seconds(5))
        return answer.flatMap { try? HoldReply(decoding: $0.body) }
    }

    private func settle(_ charge: ChargeID, of account: AccountID) async -> Bool {
        let facts = CallFacts(
            model: "sim-fast", provider: "simulator", usage: [.input: 10, .output: 10], isEstimated: false, end: .completed,
            priceVersion: 1, costPicoUSD: 50_000_000, operation: nil, apiKeyID: nil)
        let settlement = SettleCharges([SettleCharge(chargeID: charge, accountID: account, amount: Credits(nano: 1_500), call: facts)])
        let message = OutgoingMessage(
            exchange: SettleCharges.exchange.name, routingKey: settlement.routingKey, body: settlement.encoded(),
            properties: Self.properties(SettleCharges.name, headers: Self.headers()))
        do {
            try await publisher.publish(message, within: .seconds(5))
            return true
        } catch { return false }
    }

    private static func properties(_ type: String, headers: [(String, String)] = []) -> MessageProperties {
        MessageProperties(
            messageID: MessageID.make().description, type: type, timestamp: UInt64(Instant.now().seconds), headers: headers)
    }

    private static func headers() -> [(String, String)] {
        [("traceparent", TraceContext.new().traceparent), ("x-conversation-id", ConversationID.make().description)]
    }
}

/// The times and results that callers saw.
private final class Samples: Sendable {
    private let state = Mutex((result: PathResult(), late: [Double](), isOver: false))

    func note(_ status: HoldReply.Status, _ milliseconds: Double, late: Double) {
        state.withLock {
            $0.result.holdMilliseconds.append(milliseconds)
            $0.late.append(late)
            if status != .granted { $0.result.refused += 1 }
        }
    }

    func noteFailure() { state.withLock { $0.result.failed += 1 } }
    func clear() { state.withLock { ($0.result, $0.late) = (PathResult(), []) } }
    func end() { state.withLock { $0.isOver = true } }
    var isOver: Bool { state.withLock { $0.isOver } }
    var result: PathResult { state.withLock { $0.result } }
    var lateMilliseconds: [Double] { state.withLock { $0.late } }
}

/// The decisions of the ledger up to now, by its metrics.
private struct LedgerCount {
    var commands = 0.0
    var batches = 0.0
    var batchSeconds = 0.0
    let at: MonotonicInstant

    init(_ stack: BenchStack, on loop: EventLoop) async throws {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        let answer = try await client.request(ClientRequest("GET", stack.health("ledger") + "/metrics"))
        at = .current()
        for line in String(decoding: answer.body, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ")
            switch parts[0] {
            case "ledger_batch_commands_sum": commands = Double(parts[1]) ?? 0
            case "ledger_batch_commands_count": batches = Double(parts[1]) ?? 0
            case "ledger_batch_seconds_sum": batchSeconds = Double(parts[1]) ?? 0
            default: break
            }
        }
    }
}

private func sleep(until instant: MonotonicInstant) {
    var time = timespec(tv_sec: Int(instant.nanoseconds / 1_000_000_000), tv_nsec: Int(instant.nanoseconds % 1_000_000_000))
    while clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &time, nil) == EINTR {}
}
