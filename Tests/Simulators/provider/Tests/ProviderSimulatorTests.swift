import EventLoop
import HTTP
import HTTPWire
import JSON
import Telemetry
import Testing
import UpstreamClient

@testable import ProviderSimulator

private let loop = EventLoop.spawn(name: "provider-tests")

/// The simulator's promises: the tests of everything that calls providers stand on them.
struct ProviderSimulatorTests {
    /// A simulator of its own on a free port, and a client to it.
    final class Stage: @unchecked Sendable {
        // @unchecked Sendable: confined to `loop`.
        let pool: UpstreamPool
        private let server: HTTPServer

        init() throws {
            server = HTTPServer(
                loop: loop, configuration: HTTPServerConfiguration(), handler: ProviderAPI().serve,
                log: Logger(service: "simulator", level: .error))
            try server.start()
            pool = try UpstreamPool(loop: loop, origin: Origin(scheme: .http, host: "127.0.0.1", port: UInt16(server.port)))
        }

        func begin(_ model: String, _ more: String = "", knobs: String = "", content: String = "hello") -> UpstreamResponse {
            let body = #"{"model":"\#(model)","messages":[{"role":"user","content":"\#(content)"}]\#(more)}"#
            return pool.begin(
                method: "POST", target: Array("/v1/chat/completions\(knobs)".utf8), headers: ["authorization": "Bearer k"],
                body: Array(body.utf8))
        }

        func chat(
            _ model: String, _ more: String = "", knobs: String = "", content: String = "hello"
        ) async throws(UpstreamError) -> (status: Int, body: [UInt8]) {
            let call = begin(model, more, knobs: knobs, content: content)
            let body = try await call.collect(upTo: 16 << 20)
            return (call.status, body)
        }

        /// The JSON of each event; `[DONE]` must be the last.
        func events(_ model: String, _ more: String = "", knobs: String = "") async throws -> [JSONObject] {
            let text = String(decoding: try await chat(model, #","stream":true\#(more)"#, knobs: knobs).body, as: UTF8.self)
            var events = text.split(separator: "\n\n").map { $0.dropFirst("data: ".count) }
            #expect(events.popLast() == "[DONE]")
            return try events.map { try JSONObject(Array($0.utf8)) }
        }

        func post(_ path: String, _ body: String) async throws -> [UInt8] {
            let call = pool.begin(
                method: "POST", target: Array(path.utf8), headers: ["authorization": "Bearer k"], body: Array(body.utf8))
            return try await call.collect(upTo: 16 << 20)
        }

        /// The answer in Anthropic's API to a request with `members`.
        func message(_ model: String, _ members: String, key: String = "k") async throws -> (status: Int, text: String) {
            let body = #"{"model":"\#(model)","messages":[{"role":"user","content":"123456789"}]\#(members)}"#
            var headers: HeaderBlock = ["anthropic-version": "2023-06-01"]
            if !key.isEmpty { headers.add("x-api-key", key) }
            let call = pool.begin(method: "POST", target: Array("/v1/messages".utf8), headers: headers, body: Array(body.utf8))
            let text = String(decoding: try await call.collect(upTo: 1 << 20), as: UTF8.self)
            return (call.status, text)
        }

        func statistics() async throws -> JSONObject {
            let call = pool.begin(method: "GET", target: Array("/stats".utf8), headers: [:], body: [])
            return try JSONObject(try await call.collect(upTo: 1_024))
        }

        deinit { Task(executorPreference: loop) { [server] in await server.drain(within: .zero) } }
    }

    func onLoop(_ body: @escaping @Sendable (Stage) async throws -> Void) async throws {
        try await Task(executorPreference: loop) { try await body(Stage()) }.value
    }

    private func reason(_ answer: JSONObject) throws -> String? {
        try answer.array("choices").first?.object?.optionalString("finish_reason")
    }

    @Test func `usage can be computed by hand`() async throws {
        try await onLoop { stage in
            let answer = try JSONObject(try await stage.chat("sim-fast", #","max_tokens":7"#, content: "123456789").body)
            let usage = try answer.object("usage")
            #expect(try usage.integer("prompt_tokens") == 3)
            #expect(try usage.integer("completion_tokens") == 7)
            #expect(try usage.integer("total_tokens") == 10)
            #expect(try reason(answer) == "length")
            let whole = try JSONObject(try await stage.chat("sim-fast").body)
            #expect(try reason(whole) == "stop")
            #expect(try whole.object("usage").integer("completion_tokens") == 250)
        }
    }

    @Test func `a stream has a role, its pieces, a reason, and usage when asked`() async throws {
        try await onLoop { stage in
            let events = try await stage.events("sim-fast", #","stream_options":{"include_usage":true},"max_tokens":5"#)
            #expect(events.count == 8, "role, five pieces, reason, usage")
            let first = try events[0].array("choices").first?.object
            #expect(try first?.object("delta").string("role") == "assistant")
            #expect(try reason(events[6]) == "length")
            #expect(try events[7].array("choices").isEmpty)
            #expect(try events[7].object("usage").integer("completion_tokens") == 5)
            let unasked = try await stage.events("sim-fast", #","max_tokens":5"#)
            #expect(unasked.count == 7)
            #expect(!unasked.contains { $0.has("usage") })
            let silent = try await stage.events("sim-no-usage", #","stream_options":{"include_usage":true},"max_tokens":5"#)
            #expect(!silent.contains { $0.has("usage") })
        }
    }

    /// Returns the data of the events of a response.
    private func responseEvents(_ stage: Stage, _ more: String = "") async throws -> [JSONObject] {
        let body = try await stage.post("/v1/responses", #"{"model":"sim-fast","input":"12345678","stream":true\#(more)}"#)
        return try String(decoding: body, as: UTF8.self).split(separator: "\n\n").map { event in
            let lines = event.split(separator: "\n")
            let data = try JSONObject(Array(lines[1].dropFirst("data: ".count).utf8))
            #expect(lines[0] == "event: \(try data.string("type"))")
            return data
        }
    }

    @Test func `a response has the text of its events, and says if it is cut`() async throws {
        try await onLoop { stage in
            let events = try await responseEvents(stage)
            #expect(try events.map { try $0.integer("sequence_number") } == (0..<Int64(events.count)).map { $0 })
            let response = try events[events.count - 1].object("response")
            #expect(try (response.string("status"), response.object("usage").integer("input_tokens")) == ("completed", 2))
            let text = try response.array("output")[0].object?.array("content")[0].object?.string("text")
            #expect(try events.compactMap { try $0.optionalString("delta") }.joined() == text)
            let cut = try await responseEvents(stage, #","max_output_tokens":20"#)
            #expect(try cut[cut.count - 1].string("type") == "response.incomplete")
            #expect(try cut[cut.count - 1].object("response").object("usage").integer("output_tokens") == 20)
        }
    }

    @Test func `a response to a request with a function calls it`() async throws {
        try await onLoop { stage in
            let events = try await responseEvents(stage, #","tools":[{"type":"function","name":"f"}]"#)
            let arguments = try events.compactMap { try $0.optionalString("delta") }.joined()
            #expect(try !JSONObject(Array(arguments.utf8)).string("text").isEmpty)
            let call = try events[events.count - 1].object("response").array("output")[0].object
            #expect(try (call?.string("type"), call?.string("name"), call?.string("arguments")) == ("function_call", "f", arguments))
        }
    }

    @Test func `each text of a legacy prompt has its answers, streamed or not`() async throws {
        try await onLoop { stage in
            let members = #"{"model":"sim-fast","prompt":["a","b"],"n":2,"max_tokens":5"#
            let whole = try JSONObject(try await stage.post("/v1/completions", members + "}"))
            let texts = try whole.array("choices").map { try $0.object?.string("text") }
            #expect(texts.count == 4)
            #expect(try whole.object("usage").integer("completion_tokens") == 20)
            let stream = try await stage.post("/v1/completions", members + #","stream":true,"stream_options":{"include_usage":true}}"#)
            var events = String(decoding: stream, as: UTF8.self).split(separator: "\n\n").map { $0.dropFirst("data: ".count) }
            #expect(events.popLast() == "[DONE]")
            let chunks = try events.map { try JSONObject(Array($0.utf8)) }
            let first = try chunks.flatMap { try $0.array("choices") }.compactMap(\.object).filter { try $0.integer("index") == 0 }
            #expect(try first.map { try $0.string("text") }.joined() == texts[0])
            #expect(try first.last?.string("finish_reason") == "length")
            #expect(try chunks.last?.object("usage").integer("total_tokens") == 22)
        }
    }

    @Test(
        arguments: [
            (#""12345678""#, 1, 2), (#"["12345","1"]"#, 2, 3), ("[7,8,9]", 1, 3), ("[[7],[8,9]]", 2, 3),
        ] as [(String, Int, Int64)])
    func `each text has a vector, and its tokens can be computed by hand`(input: String, vectors: Int, tokens: Int64) async throws {
        try await onLoop { stage in
            let body = try await stage.post("/v1/embeddings", #"{"model":"sim-embed","dimensions":2,"input":\#(input)}"#)
            let answer = try JSONObject(body)
            #expect(try answer.array("data").count == vectors)
            #expect(try answer.array("data")[0].object?.raw("embedding").map { Array($0) } == Array("[1,1]".utf8))
            #expect(try answer.object("usage").integer("prompt_tokens") == tokens)
        }
    }

    @Test func `a message has its thoughts, its text, its call of a tool and its usage`() async throws {
        try await onLoop { stage in
            let members = #","max_tokens":100,"thinking":{"type":"enabled","budget_tokens":64},"tools":[{"name":"f"}]"#
            let whole = try JSONObject(Array(try await stage.message("sim-fast", members).text.utf8))
            #expect(try whole.array("content").map { try $0.object?.string("type") } == ["thinking", "text", "tool_use"])
            #expect(try whole.string("stop_reason") == "tool_use")
            #expect(try whole.object("usage").integer("input_tokens") == 3)
            #expect(try whole.object("usage").integer("output_tokens") == 16)
            let text = try await stage.message("sim-fast", members + #","stream":true"#).text
            let events = try text.split(separator: "\n\n").map { event in
                let lines = event.split(separator: "\n")
                let json = try JSONObject(Array(try #require(lines.last).dropFirst("data: ".count).utf8))
                #expect(try lines[0] == "event: \(json.string("type"))")
                return json
            }
            #expect(
                try events.compactMap { try $0.optionalObject("content_block")?.string("type") } == ["thinking", "text", "tool_use"])
            let arguments = try events.compactMap { try $0.optionalObject("delta")?.optionalString("partial_json") }.joined()
            #expect(try whole.array("content")[2].object?.object("input").bytes == Array(arguments.utf8))
            #expect(try events.suffix(2).map { try $0.string("type") } == ["message_delta", "message_stop"])
            let cached = try JSONObject(
                Array(try await stage.message("sim-fast", #","max_tokens":1,"cache_control":{"type":"ephemeral"}"#).text.utf8))
            #expect(try cached.object("usage").integer("cache_creation_input_tokens") == 3)
            #expect(try cached.string("stop_reason") == "max_tokens")
            #expect(try await stage.message("sim-fast", members, key: "").status == 401)
            #expect(try JSONObject(Array(try await stage.message("sim-429", members).text.utf8)).string("type") == "error")
        }
    }

    @Test func `a chat completion with tools calls the first one`() async throws {
        try await onLoop { stage in
            let tools = #","tools":[{"type":"function","function":{"name":"f"}}]"#
            let answer = try JSONObject(try await stage.chat("sim-fast", tools).body)
            let call = try answer.array("choices").first?.object?.object("message").array("tool_calls").first?.object
            #expect(try reason(answer) == "tool_calls")
            let arguments = try call?.object("function").string("arguments")
            #expect(throws: Never.self) { try JSONObject(Array((arguments ?? "").utf8)) }
            let parts = try await stage.events("sim-fast", tools).compactMap { event in
                try event.array("choices").first?.object?.optionalObject("delta")?.optionalArray("tool_calls")?.first?.object?
                    .object("function").string("arguments")
            }
            #expect(parts.joined() == arguments)
        }
    }

    @Test(arguments: ["", #","stream":true"#])
    func `a model that dies never ends its answer`(_ more: String) async throws {
        try await onLoop { stage in
            let error = await #expect(throws: UpstreamError.self) { _ = try await stage.chat("sim-dies", more) }
            #expect(error?.code == .closedEarly)
        }
    }

    @Test(arguments: [("sim-429", 429), ("sim-500", 500), ("sim-503", 503), ("no-such-model", 404)])
    func `a refusal has OpenAI's shape`(_ model: String, _ status: Int) async throws {
        try await onLoop { stage in
            let call = stage.begin(model)
            let body = try await call.collect(upTo: 4_096)
            #expect(call.status == status)
            #expect(call.headers.string(for: "retry-after") == (status == 429 ? "1" : nil))
            let names = try JSONObject(body).object("error").members.map(\.name)
            #expect(names == ["message", "type", "param", "code"])
        }
    }

    @Test func `a call without a key is refused`() async throws {
        try await onLoop { stage in
            let call = stage.pool.begin(method: "GET", target: Array("/v1/models".utf8), headers: [:], body: [])
            try await call.head()
            #expect(call.status == 401)
        }
    }

    @Test func `no paced piece comes before its beat`() async throws {
        try await onLoop { stage in
            let start = MonotonicInstant.current()
            let events = try await stage.events("sim-paced", knobs: "?chunks=10&per_second=100")
            let took = MonotonicInstant.current() - start
            #expect(events.count == 12)
            #expect(took >= .milliseconds(100))
        }
    }

    @Test func `beats are counted from the start, so that lateness does not add up`() {
        #expect([0, 1, 99].map { PacedStream.due(piece: $0, perSecond: 50) } == [.milliseconds(20), .milliseconds(40), .seconds(2)])
    }

    @Test(arguments: ["", #","stream":true"#])
    func `a model that answers up to its limit is counted by its tokens`(_ more: String) async throws {
        try await onLoop { stage in
            _ = try await stage.chat("sim-to-limit", #","max_tokens":70\#(more)"#, content: "123456789")
            _ = try await stage.chat("sim-to-limit", more, content: "123456789")
            let statistics = try await stage.statistics()
            #expect(try statistics.integer("prompt_tokens") == 6)
            #expect(try statistics.integer("completion_tokens") == 70 + Int64(Scenario.piecesMax))
        }
    }

    @Test func `every call is counted by how it ended`() async throws {
        try await onLoop { stage in
            _ = try await stage.chat("sim-fast")
            let hanging = stage.begin("sim-hangs")
            let streaming = stage.begin("sim-paced", #","stream":true"#)
            try await streaming.head()
            try await expect(stage, finished: 1, aborted: 0, active: 2)
            hanging.cancel()
            streaming.cancel()
            try await expect(stage, finished: 1, aborted: 2, active: 0)
        }
    }

    /// Looks until the counters are as expected, for at most five seconds: a hang-up takes a turn to arrive.
    private func expect(_ stage: Stage, finished: Int64, aborted: Int64, active: Int64) async throws {
        for _ in 0..<1_000 {
            let counts = try await stage.statistics()
            let now = [try counts.integer("finished"), try counts.integer("aborted"), try counts.integer("active")]
            #expect(try counts.integer("calls") == now.reduce(0, +))
            if now == [finished, aborted, active] { return }
            try await loop.sleep(for: .milliseconds(5))
        }
        Issue.record("the counters never were \(finished), \(aborted), \(active)")
    }

    @Test func `a huge answer is megabytes`() async throws {
        try await onLoop { stage in
            let streamed = try await stage.chat("sim-huge", #","stream":true"#).body.count
            let whole = try await stage.chat("sim-huge").body.count
            #expect(streamed > 3 << 20)
            #expect(whole > 1 << 20)
        }
    }
}
