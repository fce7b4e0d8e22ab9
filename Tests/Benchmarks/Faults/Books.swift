import Contracts
import EventLoop
import Foundation
import HTTPClient
import JSON

/// The contents of the tables and queues after a fault, and the checks of them.
struct Books {
    let stack: BenchStack
    let loop: EventLoop

    /// The number of rows in each table that a call may write.
    struct Rows {
        var journal: Int
        var outbox: Int
        var captures: Int
        var late: Int
        var deadLetters: Int
    }

    func rows() async throws -> Rows {
        let text = try await executeAside(
            "/usr/bin/psql",
            [
                try stack.superuserURL(database: "smartspec"), "-XAtq", "-F", " ", "-c",
                """
                SELECT (SELECT count(*) FROM ledger.journal), (SELECT count(*) FROM llm_proxy.outbox),
                    (SELECT count(*) FROM ledger.journal WHERE kind = \(EntryKind.capture)),
                    (SELECT count(*) FROM ledger.journal WHERE kind = \(EntryKind.lateCapture)),
                    (SELECT count(*) FROM ledger.dead_letter) + (SELECT count(*) FROM llm_proxy.dead_letter)
                """,
            ])
        let values = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard values.count == 5 else { throw BenchError(description: "rows: \(text)") }
        return Rows(
            journal: values[0], outbox: values[1], captures: values[2], late: values[3],
            deadLetters: values[4] + (try await deadLettersOfTheBroker()))
    }

    /// The numbers of the kinds in the journal.
    private enum EntryKind {
        static let capture = 3
        static let lateCapture = 6
    }

    private func deadLettersOfTheBroker() async throws -> Int {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        let answer = try await client.request(ClientRequest("GET", try stack.broker("api") + "/api/queues/gw"))
        guard case .array(let queues) = try JSONValue(answer.body) else { return 0 }
        return try queues.reduce(0) { sum, queue in
            guard case .object(let queue) = queue, try queue.string("name").hasSuffix(".dlq") else { return sum }
            return sum + Int(try queue.optionalInteger("messages") ?? 0)
        }
    }

    /// Waits until nothing is on its way to the ledger and no hold is open.
    /// - Returns: the time that the wait took.
    func settled(within limit: Duration) async throws -> Duration {
        let begun = MonotonicInstant.current()
        while MonotonicInstant.current() - begun < limit {
            let waiting = try? await executeAside(
                "/usr/bin/psql",
                [
                    try stack.superuserURL(database: "smartspec"), "-XAtq", "-c",
                    """
                    SELECT (SELECT count(*) FROM llm_proxy.outbox WHERE sent_at IS NULL) + (SELECT count(*) FROM ledger.open_hold)
                    """,
                ])
            if waiting?.trimmingCharacters(in: .whitespacesAndNewlines) == "0" { return MonotonicInstant.current() - begun }
            try await loop.sleep(for: .milliseconds(200))
        }
        throw BenchError(description: "not settled within \(limit)")
    }

    /// Runs the audit of the ledger over the route of the administrators.
    func isConsistent(_ token: String) async throws -> Bool {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        var request = ClientRequest(
            "GET", try stack.edge + "/api/admin/credits/audit", headers: [("authorization", "Bearer " + token)])
        request.timeout = .seconds(120)
        let answer = try await client.request(request)
        return answer.status == 200 ? try JSONObject(answer.body).bool("consistent") : false
    }

    /// Returns the seconds and the number of all transactions of both ledgers.
    func batches() async throws -> (seconds: Double, count: Double) {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        var sum = (seconds: 0.0, count: 0.0)
        for name in ["ledger", "ledger-2"] {
            let text = String(
                decoding: try await client.request(ClientRequest("GET", try stack.health(name) + "/metrics")).body, as: UTF8.self)
            for line in text.split(separator: "\n") {
                let value = line.split(separator: " ").last.flatMap { Double($0) } ?? 0
                if line.hasPrefix("ledger_batch_seconds_sum") { sum.seconds += value }
                if line.hasPrefix("ledger_batch_seconds_count") { sum.count += value }
            }
        }
        return sum
    }
}
