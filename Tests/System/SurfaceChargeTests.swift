import Foundation
import HTTPClient
import JSON
import Testing
import Values

extension SystemTests {
    /// The charges of calls on the surfaces next to chat, for each way in which a call can end.
    struct SurfaceChargeTests {
        enum Surface: String, CaseIterable, Sendable {
            case responses, completions

            var path: String { "/v1/\(rawValue)" }

            func body(model: String, stream: Bool) -> String {
                let prompt = self == .responses ? #""input":"Say something.""# : #""prompt":"Say something.""#
                return #"{"model":"\#(model)",\#(prompt),"stream":\#(stream)}"#
            }

            /// The text that each event with content has.
            var mark: String { self == .responses ? #""delta":""# : #""finish_reason":null"# }
            var end: String { self == .responses ? "response.completed" : "[DONE]" }
        }

        /// Returns the only charge of an account: its amount, its usage and its end.
        private func charge(
            _ gateway: Gateway, _ account: Gateway.Account
        ) async throws -> (amount: Credits, input: Int64, output: Int64, end: String, isEstimated: Bool) {
            try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
            let charge = try #require(try await gateway.charges(of: account).first)
            let metadata = try JSONObject(Array((charge.metadata ?? "").utf8))
            let usage = try metadata.object("usage")
            #expect(try await gateway.openHolds(of: account) == 0)
            return (
                charge.amount, try usage.integer("input"), try usage.optionalInteger("output") ?? 0, try metadata.string("end"),
                try metadata.optionalBool("estimated") ?? false
            )
        }

        @Test(arguments: Surface.allCases, [true, false])
        func `a whole answer costs exactly its price`(surface: Surface, stream: Bool) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                if stream {
                    let streamed = try await gateway.stream(account, surface.path, surface.body(model: "sim-fast", stream: true))
                    #expect(streamed.text.contains(surface.end) && streamed.failure == nil)
                } else {
                    let body = surface.body(model: "sim-fast", stream: false)
                    try gateway.expect(try await gateway.post(surface.path, token: account.token, body), 200)
                }
                let charge = try await charge(gateway, account)
                #expect((charge.output, charge.end, charge.isEstimated) == (250, "completed", false))
                #expect(charge.amount == ChatTests.price(promptTokens: charge.input, completionTokens: 250))
            }
        }

        @Test func `embeddings cost their prompt`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let body = #"{"model":"sim-embed","input":["a text","another text"]}"#
                try gateway.expect(try await gateway.post("/v1/embeddings", token: account.token, body), 200)
                let charge = try await charge(gateway, account)
                #expect((charge.input, charge.output, charge.end) == (5, 0, "completed"))
                // 5 tokens at 0.02 USD a million, 15 % on top, 25 credits a dollar.
                #expect(charge.amount == Credits(nano: 2_875))
            }
        }

        @Test(
            arguments: [
                ("images/generations", #"{"model":"sim-picture","prompt":"a point","n":2}"#, "image", 2, "2.3"),
                ("images/generations", #"{"model":"sim-picture-flat","prompt":"a point","quality":"hd"}"#, "image:hd", 1, "1.5"),
                ("images/generations", #"{"model":"sim-picture-flat","prompt":"a point","size":"4K"}"#, "image:4k", 1, "2"),
                ("audio/speech", #"{"model":"sim-voice","input":"Some words","voice":"alloy"}"#, "character", 10, "0.0043125"),
            ] as [(String, String, String, Int64, String)])
        func `pictures and sound cost exactly their price`(path: String, body: String, unit: String, quantity: Int64, price: String)
            async throws
        {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                try gateway.expect(try await gateway.post("/v1/" + path, token: account.token, body), 200)
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                #expect(charge.amount == Credits(decimal: price))
                #expect(try JSONObject(Array((charge.metadata ?? "").utf8)).object("usage").integer(unit) == quantity)
                #expect(try await gateway.openHolds(of: account) == 0)
            }
        }

        @Test(arguments: Surface.allCases, [true, false])
        func `an answer without usage is charged what was delivered`(surface: Surface, stream: Bool) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let body = surface.body(model: "sim-no-usage", stream: stream)
                if stream {
                    #expect(try await gateway.stream(account, surface.path, body).failure == nil)
                } else {
                    try gateway.expect(try await gateway.post(surface.path, token: account.token, body), 200)
                }
                let charge = try await charge(gateway, account)
                #expect((charge.output, charge.end, charge.isEstimated) == (250, "completed", true))
            }
        }

        @Test(arguments: Surface.allCases)
        func `a client that hangs up is charged the delivered part, and the provider's call is cancelled`(surface: Surface) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let before = try await gateway.simulatorStats()
                let streamed = try await gateway.stream(
                    account, surface.path, surface.body(model: "sim-paced", stream: true), leaveAfter: 20)
                let heard = Int64(streamed.text.components(separatedBy: surface.mark).count - 1)
                try await gateway.until("the provider's call is cancelled") {
                    try await gateway.simulatorStats().aborted == before.aborted + 1
                }
                let charge = try await charge(gateway, account)
                #expect(charge.end == "client_disconnected")
                // Events may be under way when the client leaves: at 20 a second never more than a few.
                #expect(charge.output >= 1 && charge.output <= heard * 3 + 10, "\(heard) events heard, \(charge.output) tokens charged")
                #expect(charge.amount == ChatTests.price(promptTokens: charge.input, completionTokens: charge.output))
            }
        }

        @Test(arguments: Surface.allCases)
        func `a provider that dies in mid-stream ends the stream with an error, and the delivered part is charged`(
            surface: Surface
        ) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let streamed = try await gateway.stream(account, surface.path, surface.body(model: "sim-dies", stream: true))
                #expect(!streamed.text.contains(surface.end) && streamed.text.contains(#""code":"provider_error""#))
                #expect(streamed.failure != nil)
                let charge = try await charge(gateway, account)
                #expect((charge.output, charge.end) == (10, "provider_error"))
            }
        }

        @Test(arguments: Surface.allCases, ["sim-429", "sim-500", "sim-dies"])
        func `a refusal, and an answer in one piece that ends early, cost nothing`(surface: Surface, model: String) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.post(surface.path, token: account.token, surface.body(model: model, stream: false))
                #expect(answer.status == 502)
                try await gateway.until("the hold is voided") { try await gateway.ends(of: account) == [.void] }
                #expect(try await gateway.balance(of: account).available == Credits(whole: 10))
            }
        }
    }
}
