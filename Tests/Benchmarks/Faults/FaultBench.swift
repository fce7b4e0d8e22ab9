import EventLoop
import Foundation
import HTTPClient
import HTTPWire
import JSON
import UpstreamClient
import Values

/// Runs the gateway under a steady load while one of its parts fails. Reports the answers that
/// clients get before, during and after the fault, and the result of the checks.
///
/// | variable | default | |
/// |---|---|---|
/// | `BENCH_FAULTS` | all | names of ``Fault``, separated by commas |
/// | `BENCH_RATE` | `100` | calls a second |
/// | `BENCH_ACCOUNTS` | `10` | accounts that share the calls |
/// | `BENCH_SHARE` | `1` | every duration is multiplied by this, for a shorter run |
struct FaultBench {
    enum Fault: String, CaseIterable {
        case ledger, postgres, rabbitmq
        case row = "locked-row"
        case outage = "broker-outage"
        case streams
        case hot = "hot-account"
        case snapshots
    }

    let stack: BenchStack
    let loop: EventLoop
    private let faults: [Fault]
    private let perSecond: Int
    private let accountCount: Int
    private let share: Double
    private var books: Books { Books(stack: stack, loop: loop) }

    init(stack: BenchStack, loop: EventLoop) throws {
        let environment = ProcessInfo.processInfo.environment
        self.stack = stack
        self.loop = loop
        faults =
            try environment["BENCH_FAULTS"]?.split(separator: ",").map { name in
                guard let fault = Fault(rawValue: String(name)) else { throw BenchError(description: "BENCH_FAULTS: no fault '\(name)'") }
                return fault
            } ?? Fault.allCases
        perSecond = environment["BENCH_RATE"].flatMap { Int($0) } ?? 100
        accountCount = environment["BENCH_ACCOUNTS"].flatMap { Int($0) } ?? 10
        share = environment["BENCH_SHARE"].flatMap { Double($0) } ?? 1
    }

    func run() async throws {
        try Machine(stack).describe()
        var accounts: [BenchAccount] = []
        for _ in 0..<accountCount { accounts.append(try await BenchAccount.make(stack, on: loop)) }
        print("\n\(perSecond) calls a second over \(accountCount) accounts, both proxies and two ledgers.")
        let load = try SteadyLoad(stack, accounts: accounts, perSecond: perSecond, on: loop)
        try await load.during { try await pause(5) }
        for fault in faults {
            load.clear()
            let before = try await books.rows()
            switch fault {
            case .ledger: try await freeze(try await Victim.activeLedger(of: stack, on: loop), load)
            case .postgres: try await freeze("postgres", load)
            case .rabbitmq: try await freeze("rabbitmq", load)
            case .row: try await lockRow(of: accounts[0], load)
            case .outage: try await breakOff(load, before)
            case .streams: try await stream(accounts[0])
            case .hot: try await heat(accounts[0])
            case .snapshots: try await takeSnapshots(load)
            }
            try await check(load, since: before)
        }
    }

    private func pause(_ seconds: Double) async throws { try await loop.sleep(for: .milliseconds(Int64(seconds * share * 1_000))) }

    /// Compares the answers that clients got with the charges of the ledger, and audits.
    private func check(_ load: SteadyLoad, since before: Books.Rows) async throws {
        let took = try await books.settled(within: .seconds(600))
        let after = try await books.rows()
        let served = load.samples.count { $0.status == 200 }
        var text = "Settled \(rounded(took / .seconds(1), 1)) s after the last call: "
        if !load.samples.isEmpty { text += "\(served) calls answered with 200, " }
        text += "\(after.captures - before.captures) charges, \(after.late - before.late) late, "
        text += "\(after.deadLetters - before.deadLetters) dead letters; the audit "
        print(text + (try await books.isConsistent(try await adminToken()) ? "finds nothing." : "FINDS DIFFERENCES."))
    }

    private func adminToken() async throws -> String {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        let admin = try stack.admin
        let answer = try await client.request(
            ClientRequest(
                "POST", try stack.edge + "/api/auth/login", headers: [("content-type", "application/json")],
                body: Array(#"{"email":"\#(admin.email)","password":"\#(admin.password)"}"#.utf8)))
        return try JSONObject(answer.body).string("access_token")
    }

    // MARK: Frozen for 30 s

    private func freeze(_ component: String, _ load: SteadyLoad) async throws {
        print("\nSIGSTOP for \(rounded(30 * share, 0)) s of \(component):\n")
        let victim = try Victim(component, of: stack)
        let (stopped, goesOn) = try await load.during {
            try await pause(10)
            let stopped = MonotonicInstant.current()
            victim.signal(SIGSTOP)
            try await pause(30)
            victim.signal(SIGCONT)
            let goesOn = MonotonicInstant.current()
            try await pause(30)
            return (stopped, goesOn)
        }
        report(load.samples, at: [("before", stopped), ("stopped", goesOn)], last: "after")
        func first(after instant: MonotonicInstant) -> String {
            let answers = load.samples.filter { $0.status == 200 && $0.sent >= instant }.map(\.answered)
            return answers.min().map { rounded(Double(($0 - instant).nanoseconds) / 1e9, 1) + " s" } ?? "never"
        }
        print(
            "\nThe first 200 for a call sent after SIGSTOP came \(first(after: stopped)) after it; after SIGCONT: \(first(after: goesOn)).")
    }

    private func report(_ samples: [SteadyLoad.Sample], at ends: [(name: String, end: MonotonicInstant)], last: String) {
        var table = Table(header: Phase.header)
        var rest = samples
        for (name, end) in ends {
            table.rows.append(Phase(name: name, samples: rest.filter { $0.sent < end }).row)
            rest.removeAll { $0.sent < end }
        }
        table.rows.append(Phase(name: last, samples: rest).row)
        table.print()
    }

    // MARK: One locked row

    private func lockRow(of account: BenchAccount, _ load: SteadyLoad) async throws {
        print("\nThe row of one account locked by psql for \(rounded(300 * share, 0)) s; the others' calls, side by side:\n")
        let url = try stack.superuserURL(database: "smartspec")
        let seconds = 300 * share
        var ends: [(name: String, end: MonotonicInstant)] = []
        try await load.during {
            try await pause(60)
            ends.append(("before", .current()))
            _ = try await executeAside(
                "/usr/bin/psql",
                [
                    url, "-XAtq", "-c",
                    "BEGIN; SELECT 1 FROM ledger.account WHERE account_id = '\(account.id)' FOR UPDATE; SELECT pg_sleep(\(seconds)); COMMIT",
                ])
            ends.append(("locked", .current()))
            try await pause(60)
        }
        report(load.samples.filter { $0.account != 0 }, at: ends, last: "after")
        print("\nThe calls of the locked account:\n")
        report(load.samples.filter { $0.account == 0 }, at: ends, last: "after")
    }

    // MARK: The broker away

    private func breakOff(_ load: SteadyLoad, _ before: Books.Rows) async throws {
        print("\nRabbitMQ stopped for \(rounded(600 * share, 0)) s:\n")
        let tool = "deploy/local/stack.sh"
        var rows: [(outbox: Int, journal: Int)] = []
        var ends: [(name: String, end: MonotonicInstant)] = []
        try await load.during {
            try await pause(10)
            ends.append(("before", .current()))
            _ = try await executeAside("/bin/bash", [tool, "stop", "rabbitmq"])
            try await pause(20)
            rows.append(try await tables())
            try await pause(580)
            rows.append(try await tables())
            _ = try await executeAside("/bin/bash", [tool, "start", "rabbitmq"])
            ends.append(("away", .current()))
            try await pause(30)
        }
        report(load.samples, at: ends, last: "after")
        print(
            """

            Rows written while calls were refused: \(rows[1].outbox - rows[0].outbox) in the outbox, \
            \(rows[1].journal - rows[0].journal) in the journal.
            """)
    }

    /// Reads the tables only, because the broker is unavailable.
    private func tables() async throws -> (outbox: Int, journal: Int) {
        let text = try await executeAside(
            "/usr/bin/psql",
            [
                try stack.superuserURL(database: "smartspec"), "-XAtq", "-F", " ", "-c",
                "SELECT (SELECT count(*) FROM llm_proxy.outbox), (SELECT count(*) FROM ledger.journal)",
            ])
        let values = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard values.count == 2 else { throw BenchError(description: "rows: \(text)") }
        return (values[0], values[1])
    }

    // MARK: Streams through an outage

    /// Runs sixty streams of 100 s each. The broker is unavailable for 70 s of them.
    private func stream(_ account: BenchAccount) async throws {
        print("\nSixty streams, RabbitMQ stopped for \(rounded(70 * share, 0)) s of their 100 s:\n")
        guard let origin = Origin(try stack.service("llm-proxy-1")) else { throw BenchError(description: "the address of llm-proxy-1") }
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("authorization", "Bearer " + account.apiKey)
        let body = #"{"model":"sim-lasting","stream":true,"messages":[{"role":"user","content":"Say something."}]}"#
        let load = StreamLoad(loop: loop, origin: origin, headers: headers, body: Array(body.utf8))
        async let outage: Void = {
            try await pause(10)
            _ = try await executeAside("/bin/bash", ["deploy/local/stack.sh", "stop", "rabbitmq"])
            try await pause(70)
            _ = try await executeAside("/bin/bash", ["deploy/local/stack.sh", "start", "rabbitmq"])
        }()
        let result = try await load.runOnce(60, within: .seconds(180))
        try await outage
        print(
            "\(result.finished) of 60 came to their end, \(result.failed) failed; \(result.chunks) events; longest silence "
                + "\(rounded(result.gapMax.max() ?? .nan, 0)) ms.")
    }

    // MARK: One account, two ledgers

    /// Runs calls of one account through the ledger that reads the queue, and adjustments of the
    /// same account through the other ledger.
    private func heat(_ account: BenchAccount) async throws {
        let standby = try await Victim.activeLedger(of: stack, on: loop) == "ledger" ? "ledger-2" : "ledger"
        print("\nOne account: \(perSecond) calls a second, and 20 adjustments a second through the other ledger:\n")
        let load = try SteadyLoad(stack, accounts: [account], perSecond: perSecond, on: loop)
        let token = try await adminToken()
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        var adjustments: [Double] = []
        var refused = 0
        try await load.during {
            let begun = MonotonicInstant.current()
            while MonotonicInstant.current() - begun < .milliseconds(Int64(60 * share * 1_000)) {
                let sent = MonotonicInstant.current()
                let body =
                    #"{"user_id":"\#(account.id)","type":"bonus","amount":0.001,"reason":"bench","idempotency_key":"\#(UUIDv7.make())"}"#
                let answer = try await client.request(
                    ClientRequest(
                        "POST", try stack.service(standby) + "/api/admin/credits/adjust",
                        headers: [("content-type", "application/json"), ("authorization", "Bearer " + token)], body: Array(body.utf8)))
                let took = MonotonicInstant.current() - sent
                adjustments.append(took.milliseconds)
                if answer.status != 201 { refused += 1 }
                if took < .milliseconds(50) { try await loop.sleep(for: .milliseconds(50) - took) }
            }
        }
        var table = Table(header: Phase.header)
        table.rows.append(Phase(name: "calls", samples: load.samples).row)
        table.rows.append([
            "adjustments", "\(adjustments.count)", "\(adjustments.count - refused)", "", "\(refused)",
            rounded(adjustments.percentile(50), 1), rounded(adjustments.percentile(99), 1), rounded(adjustments.max() ?? .nan, 0),
        ])
        table.print()
    }

    // MARK: Long snapshots

    /// Runs one `pg_dump` for ten minutes, and audits one after the other.
    private func takeSnapshots(_ load: SteadyLoad) async throws {
        print("\nOne pg_dump for \(rounded(600 * share, 0)) s, and audits without a pause:\n")
        var table = Table(header: Phase.header + ["ms a batch"])
        var ends: [(name: String, end: MonotonicInstant)] = []
        var marks = [try await books.batches()]
        var audits = 0
        try await load.during {
            try await pause(60)
            marks.append(try await books.batches())
            ends.append(("before", .current()))
            let until = MonotonicInstant.current() + .milliseconds(Int64(600 * share * 1_000))
            async let dump: Void = dump(for: 600 * share)
            let token = try await adminToken()
            while MonotonicInstant.current() < until {
                guard try await books.isConsistent(token) else { throw BenchError(description: "the audit finds differences") }
                audits += 1
            }
            try await dump
            marks.append(try await books.batches())
            ends.append(("during", .current()))
            try await pause(60)
            marks.append(try await books.batches())
        }
        var rest = load.samples
        for (index, name) in ["before", "during", "after"].enumerated() {
            let end = index < ends.count ? ends[index].end : .current() + .seconds(60)
            let batches = (marks[index + 1].seconds - marks[index].seconds) / (marks[index + 1].count - marks[index].count)
            table.rows.append(Phase(name: name, samples: rest.filter { $0.sent < end }).row + [rounded(batches * 1_000)])
            rest.removeAll { $0.sent < end }
        }
        table.print()
        print("\n\(audits) audits.")
    }

    /// Dumps the database into a pipe that is not read before the time is over. Until then the dump
    /// keeps its snapshot, as the dump of a large database does.
    private func dump(for seconds: Double) async throws {
        _ = try await executeAside(
            "/bin/bash",
            [
                "-c", "set -o pipefail; /usr/bin/pg_dump --dbname=\"$0\" | { sleep \"$1\"; cat >/dev/null; }",
                try stack.superuserURL(database: "smartspec"), "\(Int(seconds))",
            ])
    }
}
