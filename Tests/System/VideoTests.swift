import HTTPClient
import JSON
import Testing
import Values

extension SystemTests {
    /// Kills a process while providers make videos. Whatever dies: each complete video is charged once, a failed one never, and no
    /// hold stays.
    struct VideoTests {
        /// Four seconds at 0.10 USD, 15 % on top, 25 credits a dollar.
        private static let price = Credits(nano: 11_500_000_000)

        @Test(arguments: [Stack.Component.proxy1, .ledger, .postgres])
        func `videos outlive a process that is killed, and are charged once`(victim: Stack.Component) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register(credits: Credits(whole: 1_000))
                var ids: [String] = []
                for index in 0..<10 {
                    let model = index < 7 ? "sim-video" : "sim-video-fails"
                    let answer = try await gateway.post("/v1/videos", token: account.token, #"{"model":"\#(model)","prompt":"a cat"}"#)
                    try gateway.expect(answer, 200)
                    ids.append(try JSONObject(answer.body).string("id"))
                }
                try await gateway.stack.kill(victim)
                try await gateway.until("it is back", within: .seconds(60)) {
                    // A killed server may need a moment before its files can be opened again.
                    do { try await gateway.stack.start(victim) } catch { return false }
                    return true
                }
                try await gateway.until("each video has its outcome", within: .seconds(90)) {
                    var states: [String] = []
                    for id in ids {
                        let answer = try await gateway.get("/v1/videos/\(id)", token: account.token)
                        guard answer.status == 200 else { return false }
                        states.append(try JSONObject(answer.body).string("status"))
                    }
                    return states == (0..<10).map { $0 < 7 ? "completed" : "failed" }
                }
                try await gateway.until("no hold stays", within: .seconds(60)) { try await gateway.openHolds(of: account) == 0 }
                try await gateway.until("each complete video is charged", within: .seconds(60)) {
                    try await gateway.charges(of: account).filter { $0.amount > .zero }.count == 7
                }
                #expect(try await gateway.charges(of: account).map(\.amount).filter { $0 > .zero }.allSatisfy { $0 == Self.price })
                let books = try await gateway.books(of: account)
                #expect(books.chargedTwice == 0 && books.journal == books.posted && books.held == .zero)
                let content = try await gateway.get("/v1/videos/\(ids[0])/content", token: account.token)
                #expect(content.status == 200 && content.body.count == 1 << 18)
            }
        }
    }
}
