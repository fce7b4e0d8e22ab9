import Contracts
import EventLoop
import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// Tests the requests about videos.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct VideosTests {
    private static let queued = #"{"id":"video_abc","object":"video","status":"queued","model":"film"}"#
    private static let completed = #"{"id":"video_abc","object":"video","status":"completed","model":"film"}"#

    private func with(_ body: @escaping @Sendable (ProxyUnderTest) async throws -> Void) async throws {
        try await ProxyUnderTest.withVideos { proxy in
            proxy.provider.onCall = { $0.answer(Self.queued) }
            try await body(proxy)
        }
    }

    private func send(_ proxy: ProxyUnderTest, _ body: String, key: String? = nil, headers: HeaderBlock = [:]) async throws -> Caller {
        let caller = proxy.send(body, to: "/v1/videos", key: key, headers: headers)
        try await until("the order is answered") { caller.isOver }
        return caller
    }

    @Test(
        arguments: [
            (#"{"model":"film","prompt":"a"}"#, 400), (#"{"model":"film","prompt":"a","seconds":12}"#, 1_200),
            (#"{"model":"film","prompt":"a","seconds":"8","size":"1024x1792"}"#, 4_000),
            (#"{"model":"film-flat","prompt":"a","seconds":"5"}"#, 5_000), (#"{"model":"film-flat","prompt":"a","seconds":"6"}"#, 10_000),
        ] as [(String, Int64)])
    func `the price follows length and size`(body: String, price: Int64) async throws {
        try await with { proxy in
            let caller = try await send(proxy, body)
            #expect(caller.status == 200)
            #expect(proxy.ledger.holds.map(\.amounts.most) == [ProxyUnderTest.tokens(price)])
        }
    }

    @Test(
        arguments: [
            ("", "body"), ("[]", ""), (#"{"model":"film"}"#, "prompt"), (#"{"model":"film","prompt":""}"#, "prompt"),
            (#"{"prompt":"a"}"#, "model"), (#"{"model":"film","prompt":"a","seconds":"0"}"#, "seconds"),
            (#"{"model":"film","prompt":"a","seconds":61}"#, "seconds"), (#"{"model":"film","prompt":"a","seconds":"1e1"}"#, "seconds"),
            (#"{"model":"film","prompt":"a","seconds":[1]}"#, "seconds"), (#"{"model":"film","prompt":"a","Seconds":"4"}"#, "Seconds"),
            (#"{"model":"film","prompt":"a","size":"9x9"}"#, "size"), (#"{"model":"film","prompt":"a","size":7}"#, "size"),
            (#"{"model":"film","prompt":"a","n":2}"#, "n"), (#"{"model":"film","prompt":"a","num_frames":1440}"#, "num_frames"),
            (#"{"model":"film","prompt":"a","width":3840}"#, "width"), (#"{"model":"film","prompt":"a","extra_body":{}}"#, "extra_body"),
            (#"{"model":"film","prompt":"a","remix_video_id":"v"}"#, "remix_video_id"),
            (#"{"model":"film","prompt":"a","input_reference":"x"}"#, "input_reference"), (#"{"model":"m","prompt":"a"}"#, "size"),
            (#"{"model":"claude","prompt":"a"}"#, "model"),
        ])
    func `a wrong order is refused by name before anything is held`(body: String, param: String) async throws {
        try await with { proxy in
            let caller = try await send(proxy, body)
            #expect(caller.status == 400)
            if !["", "body"].contains(param), !body.contains(#""m""#) { #expect(try caller.error().string("param") == param) }
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test func `an unknown model is 404`() async throws {
        try await with { proxy in
            let caller = try await send(proxy, #"{"model":"none","prompt":"a"}"#)
            #expect(caller.status == 404)
        }
    }

    @Test func `a form is passed with its picture and the provider's name of the model`() async throws {
        try await with { proxy in
            func part(_ name: String, _ value: String) -> String {
                "--b\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
            }
            let picture = "--b\r\nContent-Disposition: form-data; name=\"input_reference\"; filename=\"a.png\"\r\n\r\nPNG\r\n"
            let body = part("model", "film") + part("prompt", "a cat") + part("seconds", "8") + picture + "--b--\r\n"
            let caller = try await send(proxy, body, headers: ["content-type": "multipart/form-data; boundary=b"])
            #expect(caller.status == 200)
            #expect(proxy.ledger.holds.map(\.amounts.most) == [ProxyUnderTest.tokens(800)])
            #expect(String(decoding: proxy.provider.calls[0].bytes, as: UTF8.self) == body)
        }
    }

    @Test(arguments: ["num_frames", "fps", "extra_body", "service_tier", "remix_video_id", "Width", "tools"])
    func `a form with a part that makes a video dearer is refused by name`(name: String) async throws {
        try await with { proxy in
            let parts = [("model", "film"), ("prompt", "a"), (name, "1")].map {
                "--b\r\nContent-Disposition: form-data; name=\"\($0.0)\"\r\n\r\n\($0.1)\r\n"
            }
            let caller = try await send(proxy, parts.joined() + "--b--\r\n", headers: ["content-type": "multipart/form-data; boundary=b"])
            #expect(try caller.error().string("param") == name)
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test(arguments: ["seconds", "size", "model", "prompt"])
    func `a form that names a member twice is refused`(name: String) async throws {
        try await with { proxy in
            let parts = ["model", "prompt", "seconds", name].map { "--b\r\nContent-Disposition: form-data; name=\"\($0)\"\r\n\r\n4\r\n" }
            let caller = try await send(
                proxy, parts.joined() + (name == "size" ? parts[3] : "") + "--b--\r\n",
                headers: ["content-type": "multipart/form-data; boundary=b"])
            #expect(caller.status == 400)
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test func `an account without credits gets 402 and no video`() async throws {
        try await with { proxy in
            proxy.ledger.answerHold = { ScriptedLedger.refused(.insufficientFunds, $0.chargeID) }
            let caller = try await send(proxy, #"{"model":"film","prompt":"a"}"#)
            #expect(caller.status == 402)
            #expect(proxy.provider.calls.isEmpty)
        }
    }

    @Test(arguments: [true, false])
    func `a client that leaves while its order waits for credits orders nothing, but under a key`(hasKey: Bool) async throws {
        try await with { proxy in
            let (held, grant) = (Promise<Void>(on: TestDatabase.loop), Promise<Void>(on: TestDatabase.loop))
            proxy.ledger.answerHold = { question in
                held.succeed(())
                try? await grant.value()
                return ScriptedLedger.granted(question.amounts.most, to: question.chargeID)
            }
            let headers: HeaderBlock = hasKey ? ["idempotency-key": "one"] : ["x-stainless-retry-count": "0"]
            let caller = proxy.send(#"{"model":"film","prompt":"a"}"#, to: "/v1/videos", headers: headers)
            try await held.value()
            caller.hangUp()
            let other = proxy.send("{")
            try await until("another call is refused") { other.isOver }
            grant.succeed(())
            if hasKey {
                try await until("the video is ordered") { proxy.provider.calls.count == 1 }
            } else {
                try await until("the hold is freed") { proxy.ledger.voids.count == 1 }
                #expect(proxy.provider.calls.isEmpty)
            }
        }
    }

    @Test func `an order whose job cannot be stored at once is stored when the database is there again`() async throws {
        try await with { proxy in
            proxy.provider.onCall = { call in
                Task(executorPreference: TestDatabase.loop) {
                    try await proxy.sql("ALTER TABLE video_job RENAME TO video_job_gone")
                    call.answer(Self.queued)
                    try await TestDatabase.loop.sleep(for: .milliseconds(500))
                    try await proxy.sql("ALTER TABLE video_job_gone RENAME TO video_job")
                }
            }
            let key = proxy.person()
            let caller = try await send(proxy, #"{"model":"film","prompt":"a"}"#, key: key)
            #expect(caller.status == 200)
            let id = try JSONObject(caller.bytes).string("id")
            #expect(try await proxy.get("/v1/videos/\(id)", key: key).status == 200)
        }
    }

    @Test func `the length that is charged is the one that is ordered`() async throws {
        try await with { proxy in
            _ = try await send(proxy, #"{"model":"film","prompt":"a"}"#)
            #expect(try proxy.provider.calls[0].body?.string("seconds") == "4")
        }
    }

    @Test func `a repeated key gets the same video, another order under it 409`() async throws {
        try await with { proxy in
            let key = proxy.person()
            let body = #"{"model":"film","prompt":"a"}"#
            let first = try await send(proxy, body, key: key, headers: ["idempotency-key": "one"])
            let again = try await send(proxy, body, key: key, headers: ["idempotency-key": "one"])
            #expect(again.status == 200 && again.bytes == first.bytes)
            #expect(again.headers.string(for: "idempotency-replayed") == "true")
            let other = try await send(proxy, #"{"model":"film","prompt":"b"}"#, key: key, headers: ["idempotency-key": "one"])
            #expect(other.status == 409)
            #expect(proxy.provider.calls.count == 1 && proxy.ledger.holds.count == 1)
        }
    }

    @Test func `many orders at once under one key make one video and leave one hold`() async throws {
        try await with { proxy in
            let key = proxy.person()
            let callers = (0..<8).map { _ in
                proxy.send(#"{"model":"film","prompt":"a"}"#, to: "/v1/videos", key: key, headers: ["idempotency-key": "one"])
            }
            try await until("all are answered") { callers.allSatisfy(\.isOver) }
            #expect(callers.allSatisfy { $0.status == 200 })
            #expect(proxy.provider.calls.count == 1)
            try await proxy.sendMarker()
            try await until("the marker has come") { proxy.ledger.voids.contains { $0.reason == "marker" } }
            #expect(proxy.ledger.holds.count - (proxy.ledger.voids.count - 1) == 1)
        }
    }

    @Test func `the retry of an SDK gets the running video`() async throws {
        try await with { proxy in
            let key = proxy.person()
            let body = #"{"model":"film","prompt":"a"}"#
            let first = try await send(proxy, body, key: key, headers: ["x-stainless-retry-count": "0"])
            let retry = try await send(proxy, body, key: key, headers: ["x-stainless-retry-count": "1"])
            #expect(first.bytes == retry.bytes)
            _ = try await send(proxy, body, key: key, headers: ["x-stainless-retry-count": "0"])
            #expect(proxy.provider.calls.count == 2)
        }
    }

    @Test func `videos are listed newest first, by pages, and no other account sees them`() async throws {
        try await with { proxy in
            let key = proxy.person()
            var ids: [String] = []
            for _ in 0..<3 {
                ids.append(try JSONObject(try await send(proxy, #"{"model":"film","prompt":"a"}"#, key: key).bytes).string("id"))
            }
            let page = try JSONObject(try await proxy.get("/v1/videos?limit=2", key: key).body)
            #expect(try page.array("data").map { try $0.object?.string("id") } == [ids[2], ids[1]])
            #expect(try page.bool("has_more") == true)
            let rest = try JSONObject(try await proxy.get("/v1/videos?limit=2&after=\(ids[1])", key: key).body)
            #expect(try rest.array("data").map { try $0.object?.string("id") } == [ids[0]])
            #expect(try JSONObject(try await proxy.get("/v1/videos").body).array("data").isEmpty)
            for path in [ids[0], "\(ids[0])/content", "video_none", "x"] {
                #expect(try await proxy.get("/v1/videos/\(path)").status == 404)
            }
            for query in ["after=x", "limit=0", "limit=101", "order=asc"] {
                #expect(try await proxy.get("/v1/videos?\(query)", key: key).status == 400)
            }
        }
    }

    @Test func `the content of a complete video is passed on`() async throws {
        try await with { proxy in
            let key = proxy.person()
            let id = try JSONObject(try await send(proxy, #"{"model":"film","prompt":"a"}"#, key: key).bytes).string("id")
            #expect(try await proxy.get("/v1/videos/\(id)/content", key: key).status == 409)
            #expect(try await proxy.delete("/v1/videos/\(id)", key: key) == 409)
            try await proxy.sql("UPDATE video_job SET state = 'completed', ended_at = now(), answer = '\(Self.completed)'")
            let bytes = String(repeating: "v", count: 700_000)
            proxy.provider.onCall = { $0.answer(bytes, type: "video/mp4") }
            let content = try await proxy.get("/v1/videos/\(id)/content?variant=thumbnail", key: key)
            #expect(content.status == 200 && content.contentType == "video/mp4")
            #expect(String(decoding: content.body, as: UTF8.self) == bytes)
            #expect(proxy.provider.calls.last?.path == "/v1/videos/video_abc/content")
            #expect(try await proxy.get("/v1/videos/\(id)/content?variant=../x", key: key).status == 400)

            proxy.provider.onCall = { $0.answer(#"{"error":{"message":"secret"}}"#, status: 404) }
            let gone = try await proxy.get("/v1/videos/\(id)/content", key: key)
            #expect(gone.status == 502 && !String(decoding: gone.body, as: UTF8.self).contains("secret"))
            #expect(try await proxy.delete("/v1/videos/\(id)", key: key) == 200)
            #expect(try await proxy.get("/v1/videos/\(id)", key: key).status == 404)
        }
    }
}
