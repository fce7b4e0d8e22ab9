import EventLoop
import HTTPClient
import JSON
import Synchronization
import Testing
import Values

extension SystemTests {
    /// Kills a process while a hundred streams run. Whatever dies: every answered call is charged
    /// once, nothing is charged twice, no hold stays for ever, and the books agree.
    struct CrashTests {
        @Test(arguments: [Stack.Component.proxy1, .ledger, .rabbitmq, .postgres])
        func `a hundred calls are running when a process is killed`(victim: Stack.Component) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register(credits: Credits(whole: 1_000))
                let before = try await gateway.simulatorStats()
                let tally = Tally()
                async let calls: Void = gateway.callUntilDone(account, tally)
                try await gateway.until("a hundred calls are running") {
                    try await gateway.simulatorStats().active >= before.active + 100
                }
                try await gateway.stack.kill(victim)
                let finished = tally.finished
                try await gateway.until("a call ends while the process is dead") { tally.finished > finished }
                try await gateway.until("it is back", within: .seconds(60)) {
                    // A killed server may need a moment before its files can be opened again.
                    do { try await gateway.stack.start(victim) } catch { return false }
                    return true
                }
                try await calls
                #expect(tally.answered.count > 20, "hardly any call was answered: \(tally.failures.prefix(3))")
                try await gateway.until("calls are served again", within: .seconds(60)) {
                    try await gateway.chat(account, model: "sim-fast").status == 200
                }
                try await gateway.until("no hold stays", within: .seconds(60)) { try await gateway.openHolds(of: account) == 0 }

                try await gateway.until("every answered call is charged", within: .seconds(30)) {
                    let charged = try await gateway.charges(of: account).map(\.amount)
                    return tally.answered.allSatisfy { charged.contains($0) } && charged.count >= tally.answered.count
                }
                let books = try await gateway.books(of: account)
                #expect(books.chargedTwice == 0)
                #expect(books.journal == books.posted)
                #expect(books.held == .zero)
                #expect(books.lowest >= .zero)
                // Amounts of one model are equal, so they are counted: each answered call has a charge of its own.
                let charged = try await gateway.charges(of: account)
                for (amount, count) in Dictionary(grouping: tally.answered, by: \.self).mapValues(\.count) {
                    #expect(charged.count { $0.amount == amount } >= count, "\(amount)")
                }
                let served = try await gateway.simulatorStats().calls - before.calls
                #expect(charged.count { $0.amount > .zero } <= served, "more charges than calls")
            }
        }

        @Test func `the audit finds nothing after all kills`() async throws {
            try await Gateway.run { gateway in
                let answer = try await gateway.get("/api/admin/credits/audit", token: try await gateway.adminToken())
                try gateway.expect(answer, 200)
                #expect(try JSONObject(answer.body).bool("consistent"), "\(String(decoding: answer.body, as: UTF8.self))")
            }
        }
    }

    /// The answers that the callers saw.
    final class Tally: Sendable {
        private let state = Mutex((answered: [Credits](), failures: [String]()))

        var answered: [Credits] { state.withLock { $0.answered } }
        var failures: [String] { state.withLock { $0.failures } }
        var finished: Int { state.withLock { $0.answered.count + $0.failures.count } }

        func answered(_ used: Credits) { state.withLock { $0.answered.append(used) } }
        func failed(_ reason: String) { state.withLock { $0.failures.append(reason) } }
    }
}

extension Gateway {
    /// Two hundred calls, a hundred at a time: first streams of ten seconds, then answers in one
    /// piece.
    fileprivate func callUntilDone(_ account: Account, _ tally: SystemTests.Tally) async throws {
        _ = try await concurrently(100) {
            for round in 0..<2 {
                do {
                    if round == 0 {
                        let streamed = try await self.stream(account, model: "sim-paced", maxTokens: 200)
                        guard streamed.isDone, let last = streamed.events.dropLast().last else {
                            tally.failed("stream broke off")
                            continue
                        }
                        tally.answered(try SystemTests.ChatTests.usage(JSONObject(Array(last.utf8))).used)
                    } else {
                        let answer = try await self.chat(account, model: "sim-fast", maxTokens: 40)
                        guard answer.status == 200 else {
                            tally.failed("\(answer.status)")
                            continue
                        }
                        tally.answered(try SystemTests.ChatTests.usage(JSONObject(answer.body)).used)
                    }
                } catch {
                    tally.failed("\(error)")
                }
            }
        }
    }
}
