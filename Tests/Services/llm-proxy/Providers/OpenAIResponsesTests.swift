import Contracts
import JSON
import SSE
import Testing

@testable import LLMProxy

struct OpenAIResponsesTests {
    // MARK: The request

    private func body(_ members: String, limit: Int64? = nil, model: String = "m") throws -> [UInt8] {
        var callee = CallBoundTests.model()
        callee.providerModel = model
        return OpenAIResponses().body(
            of: try ResponsesTests.request(members).modelRequest, for: callee,
            limit: .init(tokens: limit ?? 4_000, isSent: limit != nil, isClamped: false))
    }

    @Test(arguments: ["", #","store":null"#])
    func `a response is never stored`(member: String) throws {
        #expect(try JSONObject(try body(#""input":"x"\#(member)"#)).bool("store") == false)
    }

    @Test(
        arguments: [(#""input":"\u0061" , "store":false"#, nil), (#""input":[ ],"store": false,"max_output_tokens":99"#, 99)]
            as [(String, Int64?)])
    func `a request that needs no change is sent as it came`(members: String, limit: Int64?) throws {
        #expect(try body(members, limit: limit) == Array(#"{"model":"m",\#(members)}"#.utf8))
    }

    @Test func `the limit and the name of the model are written`() throws {
        for members in [#""input":"x""#, #""input":"x","max_output_tokens":99"#] {
            let sent = try JSONObject(try body(members, limit: 64, model: "other"))
            #expect(try (sent.integer("max_output_tokens"), sent.string("model")) == (64, "other"))
            #expect(!sent.has("max_tokens"))
        }
    }

    @Test func `no limit is below the least of OpenAI, with any model and any hold`() {
        let bound = CallBound(
            model: CallBoundTests.model(least: 1), prompt: PromptSize(textBytes: 984, messages: 1, pictures: 0), choices: 1,
            callerLimit: 20, isStreaming: false, logprobs: 0, limitLeast: OpenAIResponses.limitLeast)
        #expect(bound.outputLeast == 16)
        #expect(bound.amounts?.least == CallBoundTests.tokens(500 + 16))
        #expect(bound.limit(paidBy: CallBoundTests.tokens(516)).tokens == 16)
    }

    // MARK: The answer

    private func answer(_ text: String) throws(ProviderFailure) -> WholeAnswer {
        try OpenAIResponses().answer(Array(text.utf8), AnswerContext(model: "m", choices: 1, includeUsage: true, createdAt: 0))
    }

    @Test func `usage has its units`() throws {
        let usage =
            #""usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":30},"output_tokens":20,"#
            + #""output_tokens_details":{"reasoning_tokens":7},"total_tokens":120}"#
        let whole = try answer(#"{"output":[],"service_tier":"priority",\#(usage)}"#)
        #expect(whole.reported?.tier == .priority)
        #expect((whole.reported?[.input], whole.reported?[.cachedInput], whole.reported?[.cacheWrite]) == (10, 60, 30))
        #expect(whole.reported?.completionTokens == 20)
    }

    @Test(arguments: [
        (
            #"{"type":"message","id":"long","content":[{"type":"output_text","text":"1234","annotations":[1]},{"type":"refusal","refusal":"56"}]}"#,
            6
        ),
        (#"{"type":"function_call","name":"f","arguments":"{}"}"#, 2), (#"{"type":"custom_tool_call","input":"123"}"#, 3),
        (#"{"type":"reasoning","encrypted_content":"abc","summary":[{"text":"12"}],"content":[{"type":"reasoning_text","text":"3"}]}"#, 3),
    ])
    func `texts, calls and visible thoughts are content`(item: String, bytes: Int64) throws {
        #expect(try answer(#"{"output":[\#(item)]}"#).contentBytes == bytes)
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"output":{}}"#, #"{"error":{"message":"sk-secret"}}"#,
        #"{"output":[],"status":"failed","error":{"message":"sk-secret"}}"#,
        #"{"output":[],"status":"failed"}"#, #"{"output":[],"status":"queued"}"#, #"{"output":[],"status":"cancelled"}"#,
    ])
    func `a body that is no whole response is a provider error without its text`(body: String) {
        let failure = #expect(throws: ProviderFailure.self) { try answer(body) }
        #expect(failure?.kind == .wrongAnswer("with something else than a whole response"))
    }

    // MARK: Events

    private static func event(_ type: String, _ members: String = "") -> String {
        "event: \(type)\ndata: {\"type\":\"\(type)\"\(members.isEmpty ? "" : ",")\(members)}\n\n"
    }

    private static let created = event(
        "response.created", #""sequence_number":0,"response":{"status":"in_progress","error":null,"usage":null}"#)

    private func read(_ stream: String, cutAt cuts: [Int] = []) -> (meter: StreamMeter, forwarded: String) {
        StreamMeterTests.read(stream, cutAt: cuts, StreamMeter(OpenAIResponseEvents()))
    }

    @Test(arguments: ["completed", "incomplete"])
    func `events go on as they came, and the last one is held back, wherever the stream is cut`(status: String) {
        let start = Self.created + Self.event("response.output_text.delta", #""sequence_number":1,"delta":"Hello""#)
        let end = Self.event(
            "response.\(status)",
            #""sequence_number":2,"response":{"status":"\#(status)","error":null,"usage":{"input_tokens":12,"output_tokens":34,"total_tokens":46}}"#
        )
        for cut in 0...(start + end).utf8.count {
            let (meter, forwarded) = read(start + end + "data: [DONE]\n\n", cutAt: [cut])
            #expect(forwarded == start, "cut at \(cut)")
            #expect(meter.usage == Usage(promptTokens: 12, completionTokens: 34))
            #expect(meter.isEnded && meter.failure == nil)
            #expect(
                meter.usageChunk.map { "data: " + String(decoding: $0, as: UTF8.self) } == end.split(separator: "\n").last.map(String.init))
            #expect(meter.lastEventNumber == 2)
        }
    }

    @Test(arguments: [
        "output_text", "refusal", "function_call_arguments", "custom_tool_call_input", "reasoning_text", "reasoning_summary_text",
    ])
    func `deltas count, and the events that repeat them do not`(kind: String) {
        let done = Self.event("response.\(kind).done", #""text":"Hello Hello","arguments":"Hello","delta":"Hello""#)
        let (meter, _) = read(
            Self.event("response.\(kind).delta", #""delta":"Hello","obfuscation":"xxxxxxxxxxxxxxxx""#)
                + Self.event("response.\(kind).delta", #""delta":"""#) + done)
        #expect((meter.contentEvents, meter.outputTokensDelivered) == (1, 2))
        #expect(!meter.isEnded)
    }

    @Test(arguments: [
        event("response.failed", #""response":{"error":{"message":"sk-secret"}}"#), event("error", #""message":"sk-secret""#),
        #"data: {"error":{"message":"sk-secret"}}"# + "\n\n", #"data: {"type":"error","error":{"message":"sk-secret"}}"# + "\n\n",
        "event: error\ndata: {\"message\":\"sk-secret\"}\n\n",
        event("response.completed", #""response":{"error":{"message":"sk-secret"}}"#),
        event("response.completed"), "data: sk-secret\n\n",
    ])
    func `an error event ends the stream, and the text of the provider does not go on`(event: String) {
        let (meter, forwarded) = read(Self.created + event)
        #expect(forwarded == Self.created)
        #expect(meter.failure != nil && !meter.isEnded)
    }

    @Test func `the content of a response counts if no event and no usage counted it`() {
        let response = #""response":{"output":[{"type":"message","content":[{"type":"output_text","text":"12345678"}]}],"usage":null}"#
        let (meter, _) = read(Self.created + Self.event("response.completed", response))
        #expect((meter.contentEvents, meter.outputTokensDelivered, meter.isEnded) == (1, 2, true))
        let (counted, _) = read(
            Self.event("response.output_text.delta", #""delta":"Hello""#) + Self.event("response.completed", response))
        #expect((counted.contentEvents, counted.outputTokensDelivered) == (1, 2))
        let (reported, _) = read(
            Self.event("response.completed", response.replacing("null", with: #"{"input_tokens":1,"output_tokens":3}"#)))
        #expect((reported.contentEvents, reported.usage?.completionTokens) == (0, 3))
    }

    @Test func `the last event may have more than a megabyte`() {
        let text = String(repeating: "x", count: 3 << 20)
        let (meter, _) = read(
            Self.event("response.completed", #""response":{"instructions":"\#(text)","usage":{"input_tokens":1,"output_tokens":2}}"#))
        #expect(meter.isEnded && meter.failure == nil)
    }
}
