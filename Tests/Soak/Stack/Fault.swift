import EventLoop
import Glibc
import LedgerCore
import Values

/// A disturbance of a running stack. After each one every component runs again.
enum Fault: String, CaseIterable, Sendable {
    case killLedger = "ledger killed"
    case killBoth = "both ledgers killed"
    case stopLedger = "ledger stopped"
    case pauseLedger = "ledger paused"
    /// The active ledger is stopped by SIGSTOP. After 20 s the broker gives its messages to the
    /// other ledger. Then it continues in the middle of its batch.
    case pauseActive = "active ledger paused"
    /// The broker redelivers unacknowledged messages, including refused questions.
    case dropConnections = "ledgers' connections closed"
    case stopPostgres = "postgres stopped"
    case crashPostgres = "postgres stopped at once"
    case killPostgres = "postgres killed"
    case pausePostgres = "postgres paused"
    /// The ledger continues after the database has lost its transaction.
    case pauseThroughCrash = "ledger paused while postgres was killed"
    case stopBroker = "rabbitmq stopped"
    case killBroker = "rabbitmq killed"
    case pauseBroker = "rabbitmq paused"
    case awayBroker = "rabbitmq away"

    /// The longest time of each fault that lasts.
    struct Spans: Sendable {
        let pause: Duration
        let away: Duration
    }

    /// The faults that every soak has, also a short one.
    static let inEveryRun: [Fault] = [.dropConnections, .pauseActive, .pausePostgres, .pauseBroker, .awayBroker]

    /// Returns shuffled faults, to be taken from the end. A short soak begins with ``inEveryRun``.
    static func deck(_ dice: inout Dice, isShort: Bool) -> [Fault] {
        if isShort { return allCases.filter { !inEveryRun.contains($0) }.shuffled(using: &dice) + inEveryRun.shuffled(using: &dice) }
        return (allCases + [.killLedger, .killLedger, .stopLedger, .pauseLedger]).shuffled(using: &dice)
    }

    func strike(_ stack: SoakStack, _ broker: BrokerAPI, _ spans: Spans, _ dice: inout Dice, on loop: EventLoop) async throws {
        func upTo(_ longest: Duration) -> Duration {
            dice.milliseconds(Int(longest.wholeMilliseconds) / 4...Int(longest.wholeMilliseconds))
        }
        let victim = dice.chance(50) ? SoakStack.Component.ledger : .ledger2
        switch self {
        case .killLedger: try await restart(victim, stack, after: dice.milliseconds(0...3_000), on: loop)
        case .killBoth:
            for ledger in SoakStack.Component.ledgers { try await stack.kill(ledger) }
            try await loop.sleep(for: dice.milliseconds(0...4_000))
            for ledger in SoakStack.Component.ledgers { try await stack.start(ledger) }
        case .stopLedger:
            try await stack.stop(victim)
            try await loop.sleep(for: dice.milliseconds(0...2_000))
            try await stack.start(victim)
        case .pauseLedger: try await pause(victim, stack) { try await loop.sleep(for: dice.milliseconds(200...4_000)) }
        case .pauseActive:
            let active = try await activeLedger(stack, broker) ?? victim
            try await pause(active, stack) { try await loop.sleep(for: upTo(spans.pause)) }
        case .dropConnections:
            for _ in 0..<dice.pick([(1, 1), (1, 5)]) {
                for connection in try await broker.connections() { try await broker.close(connection) }
                try await loop.sleep(for: dice.milliseconds(100...1_000))
            }
        case .stopPostgres:
            try await stack.stop(.postgres)
            try await stack.start(.postgres)
        case .crashPostgres: try await crashPostgres(stack, on: loop)
        case .killPostgres: try await restart(.postgres, stack, after: dice.milliseconds(0...2_000), on: loop)
        case .pausePostgres: try await pause(.postgres, stack) { try await loop.sleep(for: upTo(spans.pause)) }
        case .pauseThroughCrash:
            try await pause(victim, stack) { try await restart(.postgres, stack, after: dice.milliseconds(0...500), on: loop) }
        case .stopBroker:
            try await stack.stop(.rabbitmq)
            try await stack.start(.rabbitmq)
        case .killBroker: try await restart(.rabbitmq, stack, after: dice.milliseconds(0...1_000), on: loop)
        case .pauseBroker: try await pause(.rabbitmq, stack) { try await loop.sleep(for: upTo(spans.pause)) }
        case .awayBroker: try await restart(.rabbitmq, stack, after: upTo(spans.away), on: loop)
        }
    }

    private func restart(
        _ component: SoakStack.Component, _ stack: SoakStack, after pause: Duration, on loop: EventLoop
    ) async throws {
        try await stack.kill(component)
        try await loop.sleep(for: pause)
        try await stack.start(component)
    }

    private func pause(_ component: SoakStack.Component, _ stack: SoakStack, _ meanwhile: () async throws -> Void) async throws {
        try stack.signalAll(component, SIGSTOP)
        do {
            try await meanwhile()
        } catch {
            try stack.signalAll(component, SIGCONT)
            throw error
        }
        try stack.signalAll(component, SIGCONT)
    }

    /// Returns the active ledger. The name of its connection ends with its process id.
    private func activeLedger(_ stack: SoakStack, _ broker: BrokerAPI) async throws -> SoakStack.Component? {
        guard let name = try await broker.activeConsumer(of: "ledger.cmd.charge") else { return nil }
        return try SoakStack.Component.ledgers.first { name.hasSuffix("-\(try stack.pid(of: $0))") }
    }

    /// Sends SIGQUIT: Postgres makes no checkpoint, and its successor recovers from the log.
    private func crashPostgres(_ stack: SoakStack, on loop: EventLoop) async throws {
        let pid = try stack.pid(of: .postgres)
        try stack.signal(.postgres, SIGQUIT)
        while Glibc.kill(pid, 0) == 0 { try await loop.sleep(for: .milliseconds(20)) }
        try await stack.start(.postgres)
    }
}
