import Contracts
import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests videos from their order to their charge, with a provider that says what the test wants.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct VideoKeeperTests {
    private static let order = #"{"model":"film","prompt":"a cat","seconds":"8"}"#

    private func told(_ status: String, _ members: String = "") -> String {
        #"{"id":"video_abc","object":"video","status":"\#(status)","model":"film","progress":3\#(members)}"#
    }

    /// Orders a video, and answers for its provider.
    private func ordered(
        _ proxy: ProxyUnderTest, _ body: String = order, key: String, headers: HeaderBlock = [:], begins: String? = nil
    ) async throws -> Caller {
        let begins = begins ?? told("queued")
        proxy.provider.onCall = { $0.answer(begins) }
        let caller = proxy.send(body, to: "/v1/videos", key: key, headers: headers)
        try await until("the order is answered") { caller.isOver }
        return caller
    }

    private func id(_ caller: Caller) throws -> String { try JSONObject(caller.bytes).string("id") }

    /// Lets the keeper ask the provider, whose answer is given.
    private func follow(_ proxy: ProxyUnderTest, _ answer: String, status: Int = 200) async throws {
        proxy.provider.onCall = { $0.answer(answer, status: status) }
        try await proxy.sql("UPDATE video_job SET asked_at = now() - interval '1 minute' WHERE ended_at IS NULL")
        try await proxy.videoKeeper.followDue()
    }

    private func shown(_ proxy: ProxyUnderTest, _ id: String, key: String) async throws -> JSONObject {
        let answer = try await proxy.get("/v1/videos/\(id)", key: key)
        #expect(answer.status == 200)
        #expect(
            try ProxyUnderTest.document.get().differences(
                "GET", "/v1/videos/{id}", status: answer.status, contentType: answer.contentType, body: answer.body) == [])
        return try JSONObject(answer.body)
    }

    @Test func `a video is held when it is ordered, and charged once when it is complete`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            let caller = try await ordered(proxy, key: key)
            #expect(try caller.differences() == [])
            let video = try JSONObject(caller.bytes)
            #expect(try video.string("status") == "queued" && video.string("model") == "film")
            #expect(try video.object("usage").decimalText("credits_used") == "0")
            let hold = try #require(proxy.ledger.holds.first)
            #expect(hold.amounts.least == ProxyUnderTest.tokens(800))
            try await until("the hold lives on") { proxy.ledger.reports.map(\.timeToLiveMilliseconds) == [600_000] }
            #expect(try id(caller) == "video_\(hold.chargeID)")
            #expect(try proxy.provider.calls[0].body?.string("prompt") == "a cat")

            try await follow(proxy, told("in_progress"))
            #expect(try await shown(proxy, id(caller), key: key).string("status") == "in_progress")
            #expect(try await proxy.outboxed() == [])

            try await follow(proxy, told("completed"))
            try await proxy.videoKeeper.followDue()
            #expect(try await proxy.outboxed().map(\.type) == [SettleCharges.name])
            let whole = try await shown(proxy, id(caller), key: key)
            #expect(try whole.string("status") == "completed")
            #expect(try Credits(decimal: whole.object("usage").decimalText("credits_used")) == ProxyUnderTest.tokens(800))
            try await until("the receipt is written") {
                try await proxy.get("/v1/generation?id=\(hold.chargeID)", key: key).status == 200
            }
        }
    }

    @Test(arguments: ["failed", "cancelled", "expired"])
    func `a video that fails costs nothing`(status: String) async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            let caller = try await ordered(proxy, key: key)
            try await follow(proxy, told(status, #","error":{"code":"moderation_blocked","message":"no"}"#))
            #expect(try await proxy.outboxed().map(\.type) == [VoidHold.name])
            let video = try await shown(proxy, id(caller), key: key)
            #expect(try video.string("status") == "failed" && video.object("error").string("code") == "moderation_blocked")
        }
    }

    @Test func `a provider that does not answer leaves the video open, and its hold is reported each minute`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            let caller = try await ordered(proxy, key: key)
            for (answer, status) in [
                ("no", 500), ("{}", 200), (told("odd"), 200), (told("completed").replacing("video_abc", with: "video_x"), 200),
            ] {
                try await follow(proxy, answer, status: status)
            }
            #expect(try await shown(proxy, id(caller), key: key).string("status") == "queued")
            #expect(try await proxy.outboxed() == [])
            try await until("the order is reported") { proxy.ledger.reports.count == 1 }
            try await proxy.videoKeeper.reportDue()
            try await proxy.sql("UPDATE video_job SET reported_at = now() - interval '61 s'")
            try await proxy.videoKeeper.reportDue()
            try await proxy.videoKeeper.reportDue()
            try await proxy.sendMarker()
            try await until("the marker has come") { proxy.ledger.voids.contains { $0.reason == "marker" } }
            #expect(proxy.ledger.reports.map(\.chargeID) == proxy.ledger.holds.flatMap { [$0.chargeID, $0.chargeID] })
            #expect(proxy.ledger.reports.map(\.timeToLiveMilliseconds) == [600_000, 600_000])
        }
    }

    @Test func `a video without an outcome for a day is voided, after its provider was asked a last time`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            let first = try id(try await ordered(proxy, key: key))
            let second = try id(try await ordered(proxy, key: key))
            try await proxy.sql("UPDATE video_job SET created_at = now() - interval '25 hours' WHERE charge_id = '\(first.dropFirst(6))'")
            try await follow(proxy, told("in_progress"))
            #expect(try await proxy.outboxed().map(\.type) == [VoidHold.name])
            let lost = try await shown(proxy, first, key: key)
            #expect(try lost.string("status") == "failed" && lost.object("error").string("code") == "no_outcome")
            #expect(try await shown(proxy, second, key: key).string("status") == "in_progress")

            try await proxy.sql("UPDATE video_job SET created_at = now() - interval '25 hours'")
            try await follow(proxy, told("completed"))
            #expect(try await proxy.outboxed().map(\.type) == [SettleCharges.name])
        }
    }

    @Test(arguments: [400, 429, 500])
    func `an order that the provider refuses costs nothing`(status: Int) async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            proxy.provider.onCall = { $0.answer(#"{"error":{"message":"no","type":"t"}}"#, status: status) }
            let caller = proxy.send(Self.order, to: "/v1/videos", key: key)
            try await until("the order is answered") { caller.isOver }
            #expect(caller.status == (status == 400 ? 400 : 502))
            #expect(try await proxy.outboxed().map(\.type) == [VoidHold.name])
            #expect(proxy.provider.calls.count == 1)
        }
    }

    @Test func `an order whose replica died is voided, and its provider is not asked for it`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            let caller = try await ordered(proxy, key: key)
            try await proxy.sql(
                "UPDATE video_job SET state = 'submitting', provider_job_id = NULL, answer = NULL, created_at = now() - interval '6 minutes'"
            )
            try await follow(proxy, told("completed"))
            #expect(proxy.provider.calls.count == 1)
            #expect(try await proxy.outboxed().map(\.type) == [VoidHold.name])
            #expect(try await shown(proxy, id(caller), key: key).object("error").string("code") == "not_begun")
        }
    }

    @Test func `the holds of videos are left to other replicas while a replica cannot report`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            _ = try await ordered(proxy, key: proxy.person())
            try await until("the order is reported") { proxy.ledger.reports.count == 1 }
            try await proxy.sql("UPDATE video_job SET reported_at = now() - interval '61 s'")
            let cut = VideoKeeper(
                store: proxy.videoKeeper.store, providers: proxy.videoKeeper.providers, report: { _ in }, keepReceipt: { _ in },
                log: ProxyUnderTest.log, canReport: { false })
            try await cut.reportDue()
            try await proxy.videoKeeper.reportDue()
            try await until("the other replica has reported") { proxy.ledger.reports.count == 2 }
        }
    }

    @Test func `a claim has some jobs of each provider`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            try await proxy.sql(
                """
                INSERT INTO provider (name, kind, base_url, api_key_variable) VALUES ('silent', 'openai', 'http://127.0.0.1:1/v1', 'KEY')
                ON CONFLICT (name) DO NOTHING;
                INSERT INTO video_job (
                    charge_id, account_id, conversation_id, provider, provider_job_id, state, amount, is_skipped, call, asked_at)
                SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), CASE WHEN n > 4 THEN 'silent' ELSE 'scripted-openai' END,
                    'v' || n, 'running', 1, true,
                    '{"model":"film","provider":"p","usage":{},"estimated":false,"end":"completed","price_version":1}',
                    now() - n * interval '1 minute'
                FROM generate_series(1, 100) n
                """)
            let claims = try await proxy.videoKeeper.store.claimDue()
            #expect(claims.count { $0.provider.name == "silent" } == ClaimVideos.rowsOfProviderMax)
            #expect(claims.count { $0.provider.name == "scripted-openai" } == 4)
        }
    }

    @Test func `a video that its provider does not know keeps no other one waiting`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            for _ in 0..<20 { _ = try await ordered(proxy, key: proxy.person()) }
            // More jobs are unknown than are asked for at once.
            try await proxy.sql(
                """
                UPDATE video_job SET provider_job_id = 'gone' WHERE charge_id IN (SELECT charge_id FROM video_job LIMIT 19);
                UPDATE video_job SET asked_at = now() - interval '1 minute'
                """)
            let completed = told("completed")
            proxy.provider.onCall = { call in
                call.path.hasSuffix("gone") ? call.answer("{}", status: 404) : call.answer(completed)
            }
            let before = proxy.provider.calls.count
            try await proxy.videoKeeper.followDue()
            #expect(proxy.provider.calls.count == before + 20)
            #expect(try await proxy.outboxed().map(\.type) == [SettleCharges.name])
        }
    }

    @Test func `two replicas that follow one video charge it once`() async throws {
        try await ProxyUnderTest.withVideos { proxy in
            let key = proxy.person()
            _ = try await ordered(proxy, key: key)
            let completed = told("completed")
            proxy.provider.onCall = { $0.answer(completed) }
            for _ in 0..<5 {
                try await proxy.sql("UPDATE video_job SET asked_at = now() - interval '1 minute'")
                async let first: Void = proxy.videoKeeper.followDue()
                async let second: Void = proxy.videoKeeper.followDue()
                _ = try await (first, second)
            }
            #expect(try await proxy.outboxed().map(\.type) == [SettleCharges.name])
        }
    }
}
