import HTTP
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Reads over times and lengths that no test can wait for: chains and rollups are written straight into a database of their own, where
/// nothing is audited.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ForgedTimeTests {
    @Test func `the parameters from and to are moments or days of a time zone, to the microsecond`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            // One transaction an hour from midnight of 1 October on, UTC; every fourth of the chain is a hold.
            try await server.fill(person.accountID, entries: 24 * 40 * 4 / 3, perHour: "4.0 / 3")
            func amount(_ query: String) async throws -> [String] {
                let page = try await server.lines("/api/credits/history?limit=100&\(query)", as: person)
                return page.objects.compactMap { try? $0.string("created_at") }
            }
            // Reference: what the database itself selects without any search for places.
            for (query, condition) in [
                ("from=2026-10-05&to=2026-10-06", "decided_at >= '2026-10-05 00:00Z' AND decided_at < '2026-10-07 00:00Z'"),
                (
                    "from=2026-10-05&to=2026-10-06&tz=Asia/Kathmandu",
                    "decided_at >= '2026-10-05 00:00+05:45' AND decided_at < '2026-10-07 00:00+05:45'"
                ),
                // A day of 25 hours: the clocks go back.
                (
                    "from=2026-10-25&to=2026-10-25&tz=Europe/Berlin",
                    "decided_at >= '2026-10-24 22:00Z' AND decided_at < '2026-10-25 23:00Z'"
                ),
                (
                    "from=2026-10-05T10:00:00Z&to=2026-10-05T20:00:00.000001Z",
                    "decided_at >= '2026-10-05 10:00Z' AND decided_at <= '2026-10-05 20:00Z'"
                ),
                (
                    "from=2026-10-05T10:00:00%2B07:00&to=2026-10-05T10:00:00-07:00",
                    "decided_at >= '2026-10-05 03:00Z' AND decided_at < '2026-10-05 17:00Z'"
                ),
                ("to=2026-10-02", "decided_at < '2026-10-03 00:00Z'"), ("from=2026-11-08", "decided_at >= '2026-11-08 00:00Z'"),
                ("from=2027-01-01", "false"), ("to=2025-01-01", "false"),
            ] {
                let expected = try await server.times(person.accountID, condition)
                #expect(condition == "false" || (1...100).contains(expected.count), "\(query) is a bad question")
                #expect(try await amount(query) == expected, "\(query)")
            }
        }
    }

    @Test(arguments: 0..<20)
    func `a clock that was set back hides no entry`(seed: Int) async throws {
        try await withUnauditedServer { server in
            print("seed \(seed)")
            var random = SplitMix64(seed: UInt64(seed))
            let person = server.person()
            try await server.fill(person.accountID, entries: 400, perHour: "3600.0")
            // Now and then time is set back by up to a minute and continues from there.
            var steps: [String] = []
            for _ in 0..<5 {
                let at = Int.random(in: 1...400, using: &random)
                steps.append("WHEN seq BETWEEN \(at) AND \(at + 20) THEN \(Int.random(in: 1...59, using: &random))")
            }
            try await server.tamper(
                """
                UPDATE journal SET decided_at = decided_at - (CASE \(steps.joined(separator: " ")) ELSE 0 END) * interval '1 second'
                WHERE account_id = '\(person.accountID)'
                """)
            for _ in 0..<5 {
                let seconds = [Int.random(in: 0...420, using: &random), Int.random(in: 0...420, using: &random)].sorted()
                guard seconds[0] < seconds[1] else { continue }
                let bounds = seconds.map { Instant(microseconds: Instant("2026-10-01T00:00:00Z")!.microseconds + Int64($0) * 1_000_000) }
                var found: [String] = []
                var cursor = ""
                repeat {
                    let page = try await server.lines(
                        "/api/credits/history?limit=100&from=\(bounds[0])&to=\(bounds[1])&cursor=\(cursor)", as: person)
                    found += try page.objects.map { try $0.string("created_at") }
                    cursor = try page.page.optionalString("next_cursor") ?? ""
                } while cursor != ""
                let expected = try await server.times(
                    person.accountID, "decided_at >= '\(bounds[0])' AND decided_at < '\(bounds[1])'")
                #expect(found == expected, "seed \(seed), \(bounds)")
            }
        }
    }

    @Test func `a page reads a bounded number of entries, and the cursor continues`() async throws {
        try await withUnauditedServer { server in
            let account = server.person().accountID
            try await server.fill(account, entries: 400, perHour: "60.0")
            let store = server.ledger.store
            var rare = HistoryFilter()
            rare.text = "entry 4"
            // 4, 40 to 49 and 400, but for every fourth, which is a hold.
            var found: [Int64] = []
            var cursor: Int64?
            var pages = 0
            repeat {
                let page = try await store.history(of: account, rare, before: cursor, offset: 0, limit: 3, window: 50)
                found += page.lines.map(\.entry.seq)
                #expect(!page.isTotalExact || page.nextCursor == nil || cursor != nil)
                cursor = page.nextCursor
                pages += 1
            } while cursor != nil
            #expect(found == [49, 47, 46, 45, 43, 42, 41])
            #expect((8...12).contains(pages))
            let first = try await store.history(of: account, HistoryFilter(), before: nil, offset: 0, limit: 3, window: 50)
            #expect(!first.isTotalExact)
            #expect(first.total == 37 || first.total == 38)
            let all = try await store.history(of: account, HistoryFilter(), before: nil, offset: 297, limit: 3)
            #expect(all.total == 300)
            #expect(all.isTotalExact)
            #expect(all.lines.map(\.entry.seq) == [3, 2, 1])
            #expect(all.nextCursor == nil)
        }
    }

    @Test func `an export of many pieces has each line once`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            try await server.fill(person.accountID, entries: 45_001, perHour: "100.0")
            let answer = try await server.ask("GET", "/api/credits/history?format=csv&q=entry", as: person)
            let lines = answer.text.split(separator: "\r\n").dropFirst()
            let places = lines.compactMap { $0.firstMatch(of: /entry ([0-9]+)/).flatMap { Int($0.output.1) } }
            #expect(places == (1...45_001).reversed().filter { $0 % 4 != 0 })
        }
    }

    @Test func `an export in pieces of any size has the same lines`() async throws {
        try await withUnauditedServer { server in
            let account = server.person().accountID
            try await server.fill(account, entries: 97, perHour: "60.0")
            var filter = HistoryFilter()
            filter.from = Instant("2026-10-01T00:10:00Z")
            filter.to = Instant("2026-10-01T01:20:00Z")
            let expected = try await server.ledger.store.history(of: account, filter, before: nil, offset: 0, limit: 100).lines.map(
                \.entry.seq)
            #expect(expected.count == 52)
            for (lines, window) in [(1, Int64(1)), (1, 7), (5, 3), (7, 7), (500, 20_000), (2, 20_000)] {
                var found: [Int64] = []
                try await server.ledger.store.exportHistory(of: account, filter, linesMax: lines, window: window) { piece in
                    #expect(piece.count <= lines)
                    found += piece.map(\.entry.seq)
                }
                #expect(found == expected, "\(lines) lines, \(window) places")
            }
        }
    }

    @Test func `days are those of the zone, of 23, 24 and 25 hours`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            // One credit each quarter of an hour, from 20 October to 9 November.
            try await server.tamper(
                """
                INSERT INTO usage_15m
                SELECT '\(person.accountID)', quarter, 'usage', 'm', '', 1, -1000000000, 0
                FROM generate_series('2026-10-20 00:00Z'::timestamptz, '2026-11-08 23:45Z', '15 minutes') AS quarter
                """)
            func days(_ query: String) async throws -> [String: String] {
                let days = try await server.object("/api/credits/usage/daily?\(query)", as: person).objects("days")
                return Dictionary(uniqueKeysWithValues: try days.map { (try $0.string("date"), $0.text(of: "credits_used") ?? "") })
            }
            #expect(
                try await days("from=2026-10-24&to=2026-10-26&tz=Europe/Berlin") == [
                    "2026-10-24": "96", "2026-10-25": "100", "2026-10-26": "96",
                ])
            #expect(try await days("from=2026-10-31&to=2026-11-01&tz=America/New_York") == ["2026-10-31": "96", "2026-11-01": "100"])
            // Nepal is 5:45 ahead: its 20th begins 23 quarters before UTC's.
            #expect(
                try await days("from=2026-10-19&to=2026-10-21&tz=Asia/Kathmandu") == [
                    "2026-10-19": "0", "2026-10-20": "73", "2026-10-21": "96",
                ])
            #expect(try await days("from=2026-11-08&to=2026-11-10") == ["2026-11-08": "96", "2026-11-09": "0", "2026-11-10": "0"])
            #expect(try await days("to=2026-11-08&tz=Asia/Bangkok").count == 30)
            #expect(try await days("to=2026-11-08&tz=Asia/Bangkok")["2026-11-07"] == "96")
        }
    }

    @Test func `a day whose midnight occurs twice begins at the first one`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            // Years that no edition of the zones changes any more.
            for (zone, day, from, to) in [
                ("Atlantic/Azores", "2024-10-27", "2024-10-27T00:00:00", "2024-10-28T01:00:00"),
                ("America/Havana", "2024-11-03", "2024-11-03T04:00:00", "2024-11-04T05:00:00"),
                ("America/Santiago", "2024-09-08", "2024-09-08T04:00:00", "2024-09-09T03:00:00"),
                ("Europe/Berlin", "2024-10-27", "2024-10-26T22:00:00", "2024-10-27T23:00:00"),
                ("Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00:00", "2024-04-07T13:30:00"),
                ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
            ] {
                let asked = try await server.object("/api/credits/usage/summary?from=\(day)&to=\(day)&tz=\(zone)", as: person)
                #expect(try asked.string("from") == from + ".000000Z", "\(zone)")
                #expect(try asked.string("to") == to + ".000000Z", "\(zone)")
            }
            // The day before ends where the day begins; the 30 days before an end begin with a midnight too.
            let before = try await server.object(
                "/api/credits/usage/summary?from=2024-10-26&to=2024-10-26&tz=Atlantic/Azores", as: person)
            #expect(try before.string("to") == "2024-10-27T00:00:00.000000Z")
            let month = try await server.object("/api/credits/usage/summary?to=2024-11-25&tz=Atlantic/Azores", as: person)
            #expect(try month.string("from") == "2024-10-27T00:00:00.000000Z")
        }
    }

    @Test func `a dropped month hides no entry of other months`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            try await server.fill(person.accountID, entries: 64, perHour: "60.0")
            // Calls that began in the month before and ended among those of the next.
            try await server.tamper("DELETE FROM journal WHERE account_id = '\(person.accountID)' AND seq IN (17, 24, 32, 33, 48, 56, 60)")
            for minute in [10, 20, 30, 31, 45, 55] {
                let bound = "2026-10-01T00:\(minute):00Z"
                let places = try await server.lines("/api/credits/history?limit=100&from=\(bound)", as: person).objects
                let expected = try await server.times(person.accountID, "decided_at >= '\(bound)'")
                #expect(try places.map { try $0.string("created_at") } == expected, "\(minute)")
            }
        }
    }

    @Test func `an export checks after every piece whether the client is connected`() async throws {
        try await withUnauditedServer { server in
            struct Gone: Error {}
            let account = server.person().accountID
            try await server.fill(account, entries: 40, perHour: "60.0")
            var filter = HistoryFilter()
            filter.text = "nothing has this"
            nonisolated(unsafe) var looks = 0
            await #expect(throws: Gone.self) {
                try await server.ledger.store.exportHistory(of: account, filter, window: 10) { _ in
                    looks += 1
                    if looks == 2 { throw Gone() }
                }
            }
            #expect(looks == 2)
        }
    }

    @Test func `moments within a quarter are moved outward, and the answer says so`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            try await server.tamper(
                """
                INSERT INTO usage_15m
                SELECT '\(person.accountID)', quarter, 'usage', 'm', '', 1, -1000000000, 0
                FROM generate_series('2026-10-20 00:00Z'::timestamptz, '2026-10-20 23:45Z', '15 minutes') AS quarter
                """)
            let answer = try await server.object(
                "/api/credits/usage/summary?from=2026-10-20T10:14:59.999999Z&to=2026-10-20T11:00:00.000001Z", as: person)
            #expect(try answer.string("from") == "2026-10-20T10:00:00.000000Z")
            #expect(try answer.string("to") == "2026-10-20T11:15:00.000000Z")
            #expect(try answer.object("usage").text(of: "credits_used") == "5")
            let exact = try await server.object("/api/credits/usage/summary?from=2026-10-20T10:00:00Z&to=2026-10-20T11:00:00Z", as: person)
            #expect(try exact.object("usage").text(of: "credits_used") == "4")
        }
    }

    @Test func `moments in folded time are moved outward to half-hours, and days keep their bounds`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            try await server.tamper(
                """
                INSERT INTO usage_15m
                SELECT '\(person.accountID)', quarter, 'usage', 'm', '', 1, -1000000000, 0
                FROM generate_series('2025-10-20 00:00Z'::timestamptz, '2025-10-24 23:45Z', '15 minutes') AS quarter;
                INSERT INTO audit_checkpoint VALUES ('2025-10-24 00:00Z')
                """)
            try await UsageFolding(pool: server.ledger.pool).run()
            for (query, from, to, used) in [
                ("from=2025-10-20T10:15:00Z&to=2025-10-20T11:10:00Z", "2025-10-20T10:00", "2025-10-20T11:30", "6"),
                // Folded time ends at the checkpoint.
                ("from=2025-10-23T23:50:00Z&to=2025-10-24T00:10:00Z", "2025-10-23T23:30", "2025-10-24T00:15", "3"),
                ("from=2025-10-21&to=2025-10-21&tz=Asia/Kolkata", "2025-10-20T18:30", "2025-10-21T18:30", "96"),
                // A day of one of the three zones is shifted by 15 minutes.
                ("from=2025-10-21&to=2025-10-21&tz=Asia/Kathmandu", "2025-10-20T18:15", "2025-10-21T18:15", "96"),
            ] {
                let answer = try await server.object("/api/credits/usage/summary?\(query)", as: person)
                #expect(try answer.string("from") == from + ":00.000000Z", "\(query)")
                #expect(try answer.string("to") == to + ":00.000000Z", "\(query)")
                #expect(try answer.object("usage").text(of: "credits_used") == used, "\(query)")
            }
        }
    }

    @Test func `a report's units and tokens stop at the end of 64 bits`() async throws {
        try await withUnauditedServer { server in
            let person = server.person()
            try await server.tamper(
                """
                INSERT INTO usage_15m
                SELECT '\(person.accountID)', quarter, 'usage', 'm', '', 1, 0, 0, most, 0, 'cached_input', most
                FROM (VALUES ('2026-09-02 00:00Z'::timestamptz), ('2026-09-02 00:15Z')) AS quarters (quarter),
                    (VALUES (9223372036854775807)) AS quantities (most)
                """)
            let summary = try await server.object("/api/credits/usage/summary?from=2026-09-02&to=2026-09-02", as: person)
            let usage = try summary.object("usage")
            #expect(usage.text(of: "prompt_tokens") == "9223372036854775807")
            #expect(usage.text(of: "units") == #"{"cached_input":9223372036854775807,"input":9223372036854775807}"#)
        }
    }

    @Test func `sums beyond 64 bits of nano-credits are exact`() async throws {
        try await withUnauditedServer { server in
            let admin = server.person(isAdmin: true)
            try await server.tamper(
                """
                INSERT INTO account (account_id, posted, seq) SELECT gen_random_uuid(), 3999999999999999999, 1 FROM generate_series(1, 4);
                INSERT INTO usage_15m
                SELECT gen_random_uuid(), '2026-09-01 00:00Z', 'topup', '', '', 1, 3999999999999999999, 0 FROM generate_series(1, 4)
                """)
            let totals = try await server.object("/api/admin/credits/totals?from=2026-09-01&to=2026-09-01", as: admin)
            #expect(totals.text(of: "types") == #"[{"type":"topup","credits":15999999999.999999996,"transactions":4}]"#)
            for query in ["", "?last=true"] {
                let audit = try await server.object("/api/admin/credits/audit\(query)", as: admin)
                #expect(audit.text(of: "balance") == "15999999999.999999996", "\(query)")
            }
        }
    }
}

extension RouteServer {
    /// A chain of `entries`, from 1 October 2026 on; every fourth a hold, the others usage of one credit.
    func fill(_ account: AccountID, entries: Int, perHour: String) async throws {
        try await tamper(
            """
            INSERT INTO account (account_id, posted, seq) VALUES ('\(account)', 0, \(entries));
            INSERT INTO journal (
                charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after, held_after,
                fingerprint, decided_at, description)
            SELECT
                gen_charge.id, 0, '\(account)', seq, CASE WHEN seq % 4 = 0 THEN 1 ELSE 7 END, 0, 1000000000, 1000000000,
                CASE WHEN seq % 4 = 0 THEN 0 ELSE -1000000000 END, CASE WHEN seq % 4 = 0 THEN 1000000000 ELSE 0 END, 0, 0,
                0, '2026-10-01 00:00Z'::timestamptz + (seq - 1) / (\(perHour)) * interval '1 hour', 'entry ' || seq
            FROM generate_series(1, \(entries)) AS seq,
                LATERAL (
                    SELECT (left(uuid_floor(now())::text, 19) || '8' || substr(md5(seq || '\(account)'), 1, 3) || '-'
                        || substr(md5(seq || '\(account)'), 4, 12))::uuid AS id
                ) AS gen_charge
            """)
    }

    /// When the transactions that meet `condition` were decided, in the order of history.
    func times(_ account: AccountID, _ condition: String) async throws -> [String] {
        try await tamper(
            """
            DROP FUNCTION IF EXISTS times();
            CREATE FUNCTION times() RETURNS SETOF timestamptz LANGUAGE sql AS $f$
                SELECT decided_at FROM journal
                WHERE account_id = '\(account)' AND seq > 0 AND posted_delta <> 0 AND (\(condition))
                ORDER BY seq DESC
            $f$
            """)
        return try await ledger.pool.withConnection { try await $0.query(ReadTimes()) }.map(\.description)
    }
}

private struct ReadTimes: Statement {
    typealias Output = Instant
    static let sql = "SELECT * FROM times()"
}
