import Contracts
import JSON
import SSE
import Testing
import Values

@testable import LLMProxy

struct AnthropicEventsTests {
    static func event(_ name: String, _ members: String) -> String {
        "event: \(name)\ndata: {\"type\":\"\(name)\"\(members.isEmpty ? "" : ", ")\(members)}\n\n"
    }

    static let stream =
        event("message_start", #""message":{"id":"msg_1","role":"assistant","usage":{"input_tokens":25,"output_tokens":1}}"#)
        + event("content_block_start", #""index":0,"content_block":{"type":"thinking","thinking":"","signature":""}"#)
        + event("ping", "")
        + event("content_block_delta", #""index":0,"delta":{"type":"thinking_delta","thinking":"Let me"}"#)
        + event("content_block_delta", #""index":0,"delta":{"type":"signature_delta","signature":"c2ln"}"#)
        + event("content_block_stop", #""index":0"#)
        + event("content_block_start", #""index":1,"content_block":{"type":"text","text":""}"#)
        + event("content_block_delta", #""index":1,"delta":{"type":"text_delta","text":"Hel\"lo w\u00f6"}"#)
        + event("content_block_stop", #""index":1"#)
        + event("content_block_start", #""index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}"#)
        + event("content_block_delta", #""index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}"#)
        + event("content_block_stop", #""index":2"#)
        + event("message_delta", #""delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}"#)
        + event("message_stop", "")

    /// The events before the one that is held back.
    static let passed = String(stream.prefix(upTo: stream.ranges(of: "event: message_delta")[0].lowerBound))

    private func read(_ text: String, cutAt cut: Int? = nil) -> (meter: StreamMeter, forwarded: String) {
        var meter = StreamMeter(AnthropicEvents())
        var forwarded: [UInt8] = []
        let bytes = Array(text.utf8)
        for part in [bytes[..<(cut ?? bytes.count)], bytes[(cut ?? bytes.count)...]] {
            Array(part).withUnsafeBytes { part in meter.feed(part) { forwarded.append(contentsOf: $0) } }
        }
        meter.finish { forwarded.append(contentsOf: $0) }
        return (meter, String(decoding: forwarded, as: UTF8.self))
    }

    @Test func `wherever the stream is cut, its bytes go on, and its end is held back`() throws {
        for cut in 0...Self.stream.utf8.count { #expect(read(Self.stream, cutAt: cut).forwarded == Self.passed, "cut at \(cut)") }
        let meter = read(Self.stream).meter
        #expect(meter.isEnded)
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 25, completionTokens: 15), false))
        #expect(try JSONObject(try #require(meter.usageChunk)).object("delta").string("stop_reason") == "tool_use")
    }

    @Test func `thoughts, text and the arguments of tools count, signatures and hidden parts do not`() {
        // A thought, a text, the name of a tool and its arguments.
        let count = read(Self.stream.replacing(Self.event("message_stop", ""), with: "")).meter
        #expect(count.contentEvents == 4)
        let hidden = read(
            Self.event("content_block_start", #""content_block":{"type":"redacted_thinking","data":"0123456789"}"#)
                + Self.event("content_block_delta", #""delta":{"type":"citations_delta","citation":{"cited_text":"0123456789"}}"#)
        ).meter
        #expect((hidden.contentEvents, hidden.outputTokensDelivered) == (2, 2))
    }

    @Test func `the first count of output is a seed, and counts nothing`() {
        let meter = read(Self.event("message_start", #""message":{"usage":{"input_tokens":25,"output_tokens":500}}"#)).meter
        #expect(meter.usage == Usage(promptTokens: 25, completionTokens: 0))
    }

    @Test func `a message delta in the middle of a stream is passed on, and its counts are cumulative`() throws {
        let delta = Self.event("content_block_delta", #""delta":{"type":"text_delta","text":"x"}"#)
        let first = Self.event("message_delta", #""delta":{"stop_reason":null},"usage":{"output_tokens":2}"#)
        let last = Self.event("message_delta", #""delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":30,"output_tokens":5}"#)
        let block = Self.event("content_block_start", #""content_block":{"type":"text","text":""}"#)
        let (meter, forwarded) = read(block + delta + first + delta + first + last + Self.event("message_stop", ""))
        #expect(forwarded == block + delta + first + delta + first)
        #expect(meter.delivered(promptTokens: 9) == (Usage(promptTokens: 30, completionTokens: 5), false))
        #expect(try JSONObject(try #require(meter.usageChunk)).object("delta").string("stop_reason") == "end_turn")
    }

    @Test func `a message delta that was passed on is not kept for the end`() throws {
        let change = Self.event("message_delta", #""delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}"#)
        let text = Self.event("content_block_delta", #""index":1,"delta":{"type":"text_delta","text":"x"}"#)
        let (meter, forwarded) = read(Self.passed + change + text + Self.event("message_stop", ""))
        #expect(forwarded == Self.passed + change + text)
        #expect(meter.usageChunk == [])
        #expect(meter.isEnded)
    }

    @Test func `a ping behind the last message delta does not release it`() throws {
        let stop = Self.event("message_stop", "")
        let (meter, forwarded) = read(Self.stream.replacing(stop, with: Self.event("ping", "") + stop))
        #expect(forwarded == Self.passed)
        #expect(meter.isEnded && meter.usageChunk != nil)
    }

    @Test(arguments: [
        AnthropicEventsTests.event("error", #""error":{"type":"overloaded_error","message":"secret"}"#), "event: error\ndata: secret\n\n",
        "data: {\"type\":\"error\",\"error\":{\"message\":\"secret\"}}\n\n", "data: secret\n\n", "data: [\"secret\"]\n\n",
    ])
    func `an error, and what is no event of the API, fails the stream without its text`(event: String) {
        let (meter, forwarded) = read(event + Self.stream)
        #expect(meter.failure != nil)
        #expect(forwarded.isEmpty)
    }

    @Test func `a stream without its end marker is not whole`() {
        #expect(!read(Self.stream.replacing(Self.event("message_stop", ""), with: "")).meter.isEnded)
    }
}
