import Contracts
import EventLoop
import HTTPClient
import JSON
import Postgres
import Telemetry

/// How long, by which dice, and where.
struct SoakPlan: Sendable {
    var seed: UInt64
    /// Of traffic; quiet points come on top.
    var time: Duration
    /// From one quiet point to the next.
    var roundMax: Duration = .seconds(60)
    /// Of each round, before the first fault: what is late then is late without an excuse.
    var calm: Duration = .seconds(20)
    var stack: SoakStack
}

/// What a soak came to.
struct SoakReport: Sendable {
    var seed: UInt64
    var seconds = 0
    var commands = 0
    var duplicates = 0
    var deadLetters = 0
    var entries = 0
    var faults: [Fault: Int] = [:]
    var differences: [Difference] = []

    var summary: String {
        let faults = Fault.allCases.compactMap { fault in self.faults[fault].map { "\(fault.rawValue) \($0)" } }
        return
            "\(seconds) s, seed \(seed): \(commands) commands, \(duplicates) duplicates, \(entries) entries, \(deadLetters) dead letters; "
            + "\(self.faults.values.reduce(0, +)) faults (\(faults.joined(separator: ", "))); \(differences.count) differences"
    }
}

/// Two ledgers on the same database and queues under the traffic of proxies and billing, while they and their servers die; now and then
/// everything comes to rest and is looked at.
final class SoakRun: @unchecked Sendable {
    // @unchecked Sendable: confined to its loop, which every task of a soak prefers.
    private let plan: SoakPlan
    private let loop: EventLoop
    private let driver: Driver
    private let wire: Wire
    private let database: PostgresPool
    private let client: HTTPClient
    private var dice: Dice
    private var deck: [Fault] = []
    private var outages = Outages()
    private var entries = 0
    private let say: @Sendable (String) -> Void

    /// Starts the stack, runs, and leaves the stack as it is then.
    static func run(_ plan: SoakPlan, on loop: EventLoop, say: @escaping @Sendable (String) -> Void) async throws -> SoakReport {
        try await plan.stack.up()
        return try await SoakRun(plan, on: loop, say: say).run()
    }

    private init(_ plan: SoakPlan, on loop: EventLoop, say: @escaping @Sendable (String) -> Void) throws {
        (self.plan, self.loop, self.say) = (plan, loop, say)
        dice = Dice(plan.seed)
        wire = try Wire(plan.stack)
        driver = Driver(Customer.all(&dice), on: wire, loop: loop)
        client = HTTPClient(loop: loop)
        database = PostgresPool(
            loop: loop, configuration: PostgresPool.Configuration(url: try plan.stack.databaseURL, applicationName: "soak"),
            log: Logger(service: "soak", level: .error))
    }

    private func run() async throws -> SoakReport {
        let running = Task(executorPreference: loop) { [wire, driver] in await wire.run { driver.note(deadLetter: $0) } }
        defer { running.cancel() }
        guard await wire.connected() else { throw SoakError(description: "no connection to the broker") }
        let started = MonotonicInstant.current()
        outages.noteStart()
        try await setLimits()
        await driver.open()
        var differences: [Difference] = []
        var left = plan.time
        while left > .zero, differences.isEmpty {
            let round = min(left, plan.roundMax)
            left -= round
            try await play(for: round)
            differences = try await atRest(isLast: left <= .zero)
            let seconds = (MonotonicInstant.current() - started).components.seconds
            say(
                "\(seconds) s: \(driver.book.records.count) commands, \(outages.counts.values.reduce(0, +)) faults, \(differences.count) differences"
            )
        }
        await database.close()
        client.close()
        return report(differences, seconds: Int((MonotonicInstant.current() - started).components.seconds))
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
        try await loop.sleep(for: min(plan.calm, time))
        while MonotonicInstant.current() < deadline {
            if deck.isEmpty { deck = Fault.deck(&dice, withLong: plan.roundMax <= plan.time) }
            let fault = deck.removeLast()
            let began = Instant.now()
            try await fault.strike(plan.stack, &dice, on: loop)
            outages.note(fault, from: began, to: .now())
            try await loop.sleep(for: dice.milliseconds(500...4_000))
        }
    }

    // MARK: Quiet points

    /// Waits until nothing is left to do, and looks. What is not there yet may still come: only what stays is a difference.
    /// - Parameter isLast: also waits for empty queues, so that no duplicate comes after the look.
    private func atRest(isLast: Bool) async throws -> [Difference] {
        try await until("no hold is open, no lot is due", within: .seconds(90)) { try await self.unfinished() == 0 }
        if isLast { try await drained() }
        let deadline = MonotonicInstant.current() + .seconds(45)
        while true {
            let differences = try await look()
            if differences.isEmpty || MonotonicInstant.current() > deadline { return differences }
            try await loop.sleep(for: .seconds(2))
        }
    }

    private func look() async throws -> [Difference] {
        let tables = try await Tables.read(from: database)
        entries = tables.rows.count
        return Checker(driver.book, tables, outages).differences() + (try await audit())
    }

    private func unfinished() async throws -> Int64 {
        try await database.withConnection { try await $0.one(CountUnfinished()) }
    }

    /// What the ledger says about itself.
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
        return [Difference(nil, "the auditor says \(String(decoding: audit.body, as: UTF8.self))")]
    }

    private func unexpected(_ answer: ClientResponse) -> SoakError {
        SoakError(description: "\(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
    }

    /// The broker counts anew every five seconds: empty twice, with more than that between, is empty.
    private func drained() async throws {
        var emptySince: MonotonicInstant?
        try await until("the ledger's queues are empty", within: .seconds(60)) {
            guard try await self.queued() == 0 else {
                emptySince = nil
                return false
            }
            let since = emptySince ?? .current()
            emptySince = since
            return MonotonicInstant.current() - since > .seconds(6)
        }
    }

    private func queued() async throws -> Int64 {
        let answer = try await client.request(ClientRequest("GET", try plan.stack.broker("api") + "/api/queues/gw"))
        guard answer.status == 200, case .array(let queues) = try JSONValue(answer.body) else { throw unexpected(answer) }
        return try queues.reduce(0) { sum, value in
            guard case .object(let queue) = value, try queue.string("name").hasPrefix("ledger."),
                try !queue.string("name").hasSuffix(".dlq")
            else { return sum }
            return sum + (try queue.optionalInteger("messages") ?? 0)
        }
    }

    private func until(_ what: String, within limit: Duration, _ isSo: () async throws -> Bool) async throws {
        let deadline = MonotonicInstant.current() + limit
        while !(try await isSo()) {
            guard MonotonicInstant.current() < deadline else { throw SoakError(description: "not within \(limit): \(what)") }
            try await loop.sleep(for: .milliseconds(200))
        }
    }

    private func report(_ differences: [Difference], seconds: Int) -> SoakReport {
        var report = SoakReport(seed: plan.seed, seconds: seconds)
        report.commands = driver.book.records.count
        report.duplicates = driver.book.copies - report.commands
        report.deadLetters = driver.book.deadLetters.values.reduce(0, +)
        report.entries = entries
        report.faults = outages.counts
        report.differences = differences
        return report
    }
}
