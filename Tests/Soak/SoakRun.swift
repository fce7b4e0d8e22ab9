import Contracts
import EventLoop
import HTTPClient
import JSON
import Postgres
import Telemetry
import Values

/// The length, the seed and the stack of a soak. A soak of less than a minute has short faults.
struct SoakPlan: Sendable {
    let seed: UInt64
    /// The time of the traffic, without the quiet points.
    let time: Duration
    let stack: SoakStack
    let isShort: Bool
    /// The longest time of each fault, and of a locked row.
    let spans: Fault.Spans
    let lockMax: Duration

    /// The longest time from one quiet point to the next.
    static let roundMax = Duration.seconds(60)

    init(seed: UInt64, time: Duration, stack: SoakStack) {
        (self.seed, self.time, self.stack) = (seed, time, stack)
        isShort = time < Self.roundMax
        spans = isShort ? Fault.Spans(pause: .seconds(4), away: .seconds(3)) : Fault.Spans(pause: .seconds(30), away: .seconds(20))
        lockMax = isShort ? .seconds(12) : .seconds(70)
    }
}

/// The result of a soak.
struct SoakReport: Sendable {
    var seed: UInt64
    var seconds = 0
    var commands = 0
    var duplicates = 0
    var refusals = 0
    var busy = 0
    var deductions = 0
    var keptCommands = 0
    var deadLetters = 0
    var entries = 0
    var late = 0
    var faults: [Fault: Int] = [:]
    var differences: [Difference] = []

    var summary: String {
        let faults = Fault.allCases.compactMap { fault in self.faults[fault].map { "\(fault.rawValue) \($0)" } }
        return
            "\(seconds) s, seed \(seed): \(commands) commands, \(duplicates) duplicates, \(refusals) refusals and \(busy) busy answers, "
            + "\(deductions) deductions, \(entries) entries (\(late) late), \(keptCommands) kept commands, \(deadLetters) dead letters; "
            + "\(self.faults.values.reduce(0, +)) faults (\(faults.joined(separator: ", "))); \(differences.count) differences"
    }
}

/// Two ledgers on the same database and queues under traffic, while they and their servers die.
/// Once a minute the traffic stops and everything is checked.
final class SoakRun: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop, which every task of a soak prefers.
    private let plan: SoakPlan
    private let loop: EventLoop
    private let driver: Driver
    private let wire: Wire
    private let database: PostgresPool
    private let client: HTTPClient
    private let broker: BrokerAPI
    private var dice: Dice
    private var deck: [Fault] = []
    private var faults: [Fault: Int] = [:]
    private var tables = Tables()
    private let say: @Sendable (String) -> Void

    /// Starts the stack, runs, and leaves the stack as it is then.
    static func run(_ plan: SoakPlan, on loop: EventLoop, say: @escaping @Sendable (String) -> Void) async throws -> SoakReport {
        try await plan.stack.up()
        return try await SoakRun(plan, on: loop, say: say).run()
    }

    private init(_ plan: SoakPlan, on loop: EventLoop, say: @escaping @Sendable (String) -> Void) throws {
        (self.plan, self.loop, self.say) = (plan, loop, say)
        dice = Dice(plan.seed)
        wire = try Wire(plan.stack, on: loop)
        driver = Driver(on: wire, loop: loop, lockMax: plan.lockMax)
        client = HTTPClient(loop: loop)
        broker = try BrokerAPI(client, plan.stack)
        database = PostgresPool(
            loop: loop, configuration: PostgresPool.Configuration(url: try plan.stack.databaseURL, applicationName: "soak"),
            log: Logger(service: "soak", level: .error))
    }

    private func run() async throws -> SoakReport {
        let running = Task(executorPreference: loop) { [wire, driver] in await wire.run { driver.note(deadLetter: $0) } }
        defer { running.cancel() }
        guard await wire.connected() else { throw SoakError(description: "no connection to the broker") }
        let started = MonotonicInstant.current()
        var seconds: Int { Int((MonotonicInstant.current() - started).components.seconds) }
        var differences: [Difference] = []
        var left = plan.time
        while left > .zero, differences.isEmpty {
            let round = min(left, SoakPlan.roundMax)
            left -= round
            let customers = Customer.all(&dice)
            driver.serve(customers)
            try await setLimits()
            await driver.open()
            try await play(for: round)
            // The last check covers all accounts, because a duplicate may have come long after its
            // round.
            differences = try await atRest(of: left > .zero ? Set(customers.map(\.account)) : nil)
            say(
                "\(seconds) s: \(driver.book.records.count) commands, \(faults.values.reduce(0, +)) faults, "
                    + "\(differences.count) differences")
        }
        await database.close()
        await wire.close()
        client.close()
        return report(differences, seconds: seconds)
    }

    private func setLimits() async throws {
        for (account, limits) in driver.drawLimits() {
            driver.note(limits: limits, of: account)
            try await database.withConnection { _ = try await $0.execute(SetLimits(account: account, limits: limits)) }
        }
    }

    // MARK: Traffic and faults

    private func play(for time: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.driver.play(for: time) }
            group.addTask { try await self.strike(for: time) }
            try await group.waitForAll()
        }
    }

    private func strike(for time: Duration) async throws {
        let deadline = MonotonicInstant.current() + time
        var lacksFaults: Bool { plan.isShort && Fault.inEveryRun.contains { faults[$0] == nil } }
        while MonotonicInstant.current() < deadline || lacksFaults {
            try await loop.sleep(for: dice.milliseconds(plan.isShort ? 200...800 : 500...4_000))
            if deck.isEmpty { deck = Fault.deck(&dice, isShort: plan.isShort) }
            let fault = deck.removeLast()
            try await fault.strike(plan.stack, broker, plan.spans, &dice, on: loop)
            faults[fault, default: 0] += 1
        }
    }

    // MARK: Quiet points

    /// Waits until no work is left, and checks. A missing outcome may still come, so only a
    /// difference that stays counts.
    /// - Parameter accounts: nil for all accounts, in the last check. It also waits for empty
    ///   queues, so that no duplicate comes later.
    private func atRest(of accounts: Set<AccountID>?) async throws -> [Difference] {
        _ = try await isSo(within: .seconds(90)) { try await self.unfinished() == 0 }
        if accounts == nil { try await drained() }
        var differences: [Difference] = []
        _ = try await isSo(within: .seconds(45)) {
            differences = try await self.look(at: accounts)
            return differences.isEmpty
        }
        return differences
    }

    private func look(at accounts: Set<AccountID>?) async throws -> [Difference] {
        tables = try await Tables.read(from: database)
        let checker = Checker(driver.book, tables, expiryGrace: SoakStack.expiryGrace)
        return checker.differences(of: accounts) + (try await audit())
    }

    private func unfinished() async throws -> Int64 {
        try await database.withConnection { try await $0.one(CountUnfinished()) }
    }

    /// Runs the ledger's own audit.
    private func audit() async throws -> [Difference] {
        let (email, password) = try plan.stack.admin
        let login = try await client.request(
            ClientRequest(
                "POST", try plan.stack.url(of: .auth) + "/api/auth/login", headers: [("content-type", "application/json")],
                body: Array(#"{"email":"\#(email)","password":"\#(password)"}"#.utf8)))
        guard login.status == 200 else { throw unexpected(login) }
        let token = try JSONObject(login.body).string("access_token")
        let audit = try await client.request(
            ClientRequest(
                "GET", try plan.stack.url(of: .ledger) + "/api/admin/credits/audit", headers: [("authorization", "Bearer " + token)]))
        guard audit.status == 200 else { throw unexpected(audit) }
        if try JSONObject(audit.body).bool("consistent") { return [] }
        return [Difference(nil, nil, "the auditor says \(String(decoding: audit.body, as: UTF8.self))")]
    }

    private func unexpected(_ answer: ClientResponse) -> SoakError {
        SoakError(description: "\(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
    }

    /// Waits until the queues are empty in two looks, six seconds apart. The broker counts every
    /// five seconds.
    private func drained() async throws {
        var emptySince: MonotonicInstant?
        let isDrained = try await isSo(within: .seconds(60)) {
            guard try await self.broker.messagesOfLedger() == 0 else {
                emptySince = nil
                return false
            }
            let since = emptySince ?? .current()
            emptySince = since
            return MonotonicInstant.current() - since > .seconds(6)
        }
        guard isDrained else { throw SoakError(description: "the ledger's queues do not drain") }
    }

    /// Checks the condition every 200 ms.
    /// - Returns: false if the condition does not come true within `limit`.
    private func isSo(within limit: Duration, _ condition: () async throws -> Bool) async throws -> Bool {
        let deadline = MonotonicInstant.current() + limit
        while !(try await condition()) {
            guard MonotonicInstant.current() < deadline else { return false }
            try await loop.sleep(for: .milliseconds(200))
        }
        return true
    }

    private func report(_ differences: [Difference], seconds: Int) -> SoakReport {
        let book = driver.book
        var report = SoakReport(seed: plan.seed, seconds: seconds)
        report.commands = book.records.count
        report.duplicates = book.copies - report.commands
        report.refusals = [.insufficientFunds, .awaitingFunds, .limitReached].reduce(0) { $0 + book.answers($1) }
        report.busy = book.answers(.busy)
        report.deductions = book.deductions.count
        report.keptCommands = tables.kept.count
        report.deadLetters = book.deadLetters.values.reduce(0, +)
        report.entries = tables.entries.count
        report.late = tables.entries.count { $0.kind == .lateCapture }
        report.faults = faults
        report.differences = differences
        return report
    }
}
