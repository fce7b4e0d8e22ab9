import Contracts
import EventLoop
import Glibc

/// What is done to a running stack; each ends with everything running again.
enum Fault: String, CaseIterable, Sendable {
    case killLedger = "ledger killed"
    case killBoth = "both ledgers killed"
    case stopLedger = "ledger stopped"
    case pauseLedger = "ledger paused"
    /// Beyond the broker's patience: it gives the ledger's messages to the other, and the ledger wakes up in the middle of its batch.
    case pauseLong = "ledger paused for long"
    case stopPostgres = "postgres stopped"
    case crashPostgres = "postgres stopped at once"
    case killPostgres = "postgres killed"
    /// The ledger wakes up beside a database that has forgotten its transaction.
    case pauseThroughCrash = "ledger paused while postgres was killed"
    case stopBroker = "rabbitmq stopped"
    case killBroker = "rabbitmq killed"

    /// Each at least once, the frequent ones more often, in an order drawn by lot: to be taken from the end until none is left.
    static func deck(_ dice: inout Dice, withLong: Bool) -> [Fault] {
        let more: [Fault] = [.killLedger, .killLedger, .stopLedger, .pauseLedger]
        return (allCases.filter { withLong || $0 != .pauseLong } + more).shuffled(using: &dice)
    }

    func strike(_ stack: SoakStack, _ dice: inout Dice, on loop: EventLoop) async throws {
        let victim = dice.chance(50) ? SoakStack.Component.ledger : .ledger2
        switch self {
        case .killLedger:
            try await stack.kill(victim)
            try await loop.sleep(for: dice.milliseconds(0...3_000))
            try await stack.start(victim)
        case .killBoth:
            for ledger in SoakStack.Component.ledgers { try await stack.kill(ledger) }
            try await loop.sleep(for: dice.milliseconds(0...4_000))
            for ledger in SoakStack.Component.ledgers { try await stack.start(ledger) }
        case .stopLedger:
            try await stack.stop(victim)
            try await loop.sleep(for: dice.milliseconds(0...2_000))
            try await stack.start(victim)
        case .pauseLedger: try await pause(victim, stack) { try await loop.sleep(for: dice.milliseconds(200...4_000)) }
        case .pauseLong: try await pause(victim, stack) { try await loop.sleep(for: dice.milliseconds(28_000...36_000)) }
        case .stopPostgres:
            try await stack.stop(.postgres)
            try await stack.start(.postgres)
        case .crashPostgres: try await crashPostgres(stack, on: loop)
        case .killPostgres: try await restart(.postgres, stack, after: dice.milliseconds(0...2_000), on: loop)
        case .pauseThroughCrash:
            try await pause(victim, stack) { try await restart(.postgres, stack, after: dice.milliseconds(0...500), on: loop) }
        case .stopBroker:
            try await stack.stop(.rabbitmq)
            try await stack.start(.rabbitmq)
        case .killBroker: try await restart(.rabbitmq, stack, after: dice.milliseconds(0...1_000), on: loop)
        }
    }

    private func restart(
        _ component: SoakStack.Component, _ stack: SoakStack, after pause: Duration, on loop: EventLoop
    ) async throws {
        try await stack.kill(component)
        try await loop.sleep(for: pause)
        try await stack.start(component)
    }

    private func pause(_ ledger: SoakStack.Component, _ stack: SoakStack, _ meanwhile: () async throws -> Void) async throws {
        try stack.signal(ledger, SIGSTOP)
        do {
            try await meanwhile()
        } catch {
            try stack.signal(ledger, SIGCONT)
            throw error
        }
        try stack.signal(ledger, SIGCONT)
    }

    /// SIGQUIT: no checkpoint, its successor recovers from the log.
    private func crashPostgres(_ stack: SoakStack, on loop: EventLoop) async throws {
        let pid = try stack.pid(of: .postgres)
        try stack.signal(.postgres, SIGQUIT)
        while Glibc.kill(pid, 0) == 0 { try await loop.sleep(for: .milliseconds(20)) }
        try await stack.start(.postgres)
    }
}

/// When something was wrong, from the first signal until a moment after everything ran again: what is late then is late with reason.
struct Outages: Sendable {
    private(set) var times: [(from: Instant, to: Instant)] = []
    private(set) var counts: [Fault: Int] = [:]

    /// Reconnecting takes at most 15 s by its own rule (`AMQPConfiguration.reconnectWithin`); then the grace of the ledger begins.
    static let aftermath = Duration.seconds(15) + SoakStack.expiryGrace + .seconds(3)

    mutating func note(_ fault: Fault, from: Instant, to: Instant) {
        times.append((from, to + Self.aftermath))
        counts[fault, default: 0] += 1
    }

    /// A ledger's start is the end of an outage too.
    mutating func noteStart(at now: Instant = .now()) { times.append((now, now + SoakStack.expiryGrace + .seconds(3))) }

    func touch(_ from: Instant, _ to: Instant) -> Bool { times.contains { $0.from <= to && from <= $0.to } }
}
