import SSE
import Testing
import Values

@testable import LLMProxy

struct StreamMeterTests {
    static let start =
        #"data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"# + "\n\n"
    static let hello = #"data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hello \"usage\" there"}}]}"# + "\n\n"
    static let finish = #"data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\n"
    static let usage = #"data: {"id":"1","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}"# + "\n\n"
    static let done = "data: [DONE]\n\n"

    static func meter(choices: Int64 = 1, includeUsage: Bool = false) -> StreamMeter {
        StreamMeter(OpenAIEvents(AnswerContext(model: "m", choices: choices, includeUsage: includeUsage, createdAt: 0)))
    }

    static func read(_ text: String, cutAt cuts: [Int], _ meter: StreamMeter = meter()) -> (meter: StreamMeter, forwarded: String) {
        var meter = meter
        var forwarded: [UInt8] = []
        let bytes = Array(text.utf8)
        var from = 0
        for cut in cuts + [bytes.count] where cut > from {
            bytes[from..<cut].withUnsafeBytes { part in meter.feed(part) { forwarded.append(contentsOf: $0) } }
            from = cut
        }
        return (meter, String(decoding: forwarded, as: UTF8.self))
    }

    @Test func `usage is read, and its event and the end are held back, wherever the stream is cut`() {
        let stream = Self.start + Self.hello + Self.finish + Self.usage + Self.done
        for cut in 0...stream.utf8.count {
            let (meter, forwarded) = Self.read(stream, cutAt: [cut])
            #expect(forwarded == Self.start + Self.hello + Self.finish, "cut at \(cut)")
            #expect(meter.usage == Usage(promptTokens: 12, completionTokens: 34))
            #expect(meter.isEnded)
            #expect(meter.usageChunk.map { String(decoding: $0, as: UTF8.self) } == String(Self.usage.dropFirst(6).dropLast(2)))
        }
    }

    @Test func `a stream byte by byte is forwarded as whole events`() {
        let stream = Self.start + Self.hello
        let (meter, forwarded) = Self.read(stream, cutAt: Array(1..<stream.utf8.count))
        #expect(forwarded == stream)
        #expect(meter.contentEvents == 1)
        #expect(!meter.isEnded)
    }

    @Test func `carriage returns are forwarded, and events without data are not`() {
        let empty = ": keep-alive\r\n\r\nevent: ping\r\n\r\nid: 7\r\n\r\ndata:\r\n\r\n"
        let stream = empty + Self.hello.replacing("\n", with: "\r\n") + "data: [DONE]\r\n\r\n"
        let (meter, forwarded) = Self.read(stream, cutAt: [])
        #expect(forwarded == Self.hello.replacing("\n", with: "\r\n"))
        #expect(meter.isEnded)
    }

    /// Some servers report usage together with the last content.
    @Test func `usage next to choices is forwarded only to a client that asked for usage, and its chunk is kept for the end`() throws {
        let start = #"data: {"id":"7","choices":[{"delta":{"content":"x"}}]"#
        let event = start + #","usage":{"prompt_tokens":1,"completion_tokens":1}}"# + "\n\n"
        for asked in [true, false] {
            let (meter, forwarded) = Self.read(event, cutAt: [], Self.meter(includeUsage: asked))
            #expect(forwarded == (asked ? event : start + "}\n\n"))
            #expect(meter.usage == Usage(promptTokens: 1, completionTokens: 1))
            let chunk = #"{"id":"7","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#
            #expect(meter.usageChunk.map { String(decoding: $0, as: UTF8.self) } == (asked ? chunk : nil))
        }
    }

    @Test(
        arguments: [
            (Self.hello, 1, false), (Self.hello + Self.finish, 1, true), (Self.hello + Self.done, 1, true),
            (Self.hello + Self.finish, 2, false),
            (Self.hello + Self.finish + Self.finish + Self.done, 2, true), (Self.hello + Self.usage, 1, false),
        ] as [(String, Int64, Bool)])
    func `an answer is whole with an end marker, or with the finish reason of its only choice`(
        stream: String, choices: Int64, isWhole: Bool
    ) {
        #expect(Self.read(stream, cutAt: [], Self.meter(choices: choices)).meter.isEnded == isWhole)
    }

    @Test(arguments: [
        #"data: {"error":{"message":"Incorrect API key provided: sk-secret"}}"#, #"data: {"choices":[],"error":"overloaded"}"#,
        "event: error\ndata: {}",
    ])
    func `an error inside a stream ends the metering, and its text is not forwarded`(event: String) {
        let (meter, forwarded) = Self.read(Self.hello + event + "\n\n" + Self.hello, cutAt: [])
        #expect(forwarded == Self.hello)
        #expect(meter.failure == ProviderFailure(.failedMidStream))
        #expect(meter.contentEvents == 1)
    }

    @Test func `no bytes behind the end marker are forwarded`() {
        let (meter, forwarded) = Self.read(Self.hello + Self.done + Self.hello, cutAt: [])
        #expect(forwarded == Self.hello)
        #expect(meter.contentEvents == 1)
    }

    @Test func `a stream without usage is counted by its events and by four bytes a token`() {
        let long = #"data: {"choices":[{"delta":{"content":"\#(String(repeating: "word", count: 10))"}}]}"# + "\n\n"
        #expect(Self.read(Self.start + Self.hello + Self.hello, cutAt: []).meter.contentEvents == 2)
        #expect(Self.read(long, cutAt: []).meter.outputTokensDelivered == 10)
        #expect(Self.read(Self.start + Self.finish, cutAt: []).meter.outputTokensDelivered == 0)
    }

    // MARK: TokenBudget

    /// One token each.
    static func tokens(_ range: Range<Int>) -> String {
        range.map { #"data: {"choices":[{"index":0,"delta":{"content":"\#($0 % 10)"}}]}"# + "\n\n" }.joined()
    }

    @Test func `unpaid content is held back uncounted, and forwarded when it is paid, wherever the stream is cut`() {
        let answer = Self.start + Self.tokens(0..<6) + Self.finish
        let stream = answer + Self.usage + Self.done
        let covered = Self.start + Self.tokens(0..<3)
        for cut in 0...stream.utf8.count {
            var meter = Self.meter()
            meter.budget.outputTokens = 3
            var forwarded: [UInt8] = []
            for part in [Array(stream.utf8)[..<cut], Array(stream.utf8)[cut...]] {
                Array(part).withUnsafeBytes { part in meter.feed(part) { forwarded.append(contentsOf: $0) } }
            }
            meter.finish { forwarded.append(contentsOf: $0) }
            #expect(String(decoding: forwarded, as: UTF8.self) == covered, "cut at \(cut)")
            #expect(meter.isOverBudget)
            #expect(meter.outputTokens == 3)
            #expect(meter.delivered(promptTokens: 7).usage == Usage(promptTokens: 7, completionTokens: 3))
            #expect(!meter.isEnded && meter.usage == nil)

            meter.raiseBudget(.init(outputTokens: 5)) { forwarded.append(contentsOf: $0) }
            #expect(String(decoding: forwarded, as: UTF8.self) == Self.start + Self.tokens(0..<5))
            #expect(meter.isOverBudget)
            meter.raiseBudget(.init(outputTokens: 6)) { forwarded.append(contentsOf: $0) }
            #expect(String(decoding: forwarded, as: UTF8.self) == answer)
            #expect(!meter.isOverBudget)
            #expect(meter.isEnded)
            #expect(meter.usage == Usage(promptTokens: 12, completionTokens: 34))
        }
    }

    @Test func `a last line without an end waits for its budget too`() {
        var meter = Self.meter()
        meter.budget.outputTokens = 1
        var forwarded = ""
        let stream = Array((Self.tokens(0..<2).dropLast(2)).utf8)
        stream.withUnsafeBytes { part in meter.feed(part) { forwarded += String(decoding: $0, as: UTF8.self) } }
        #expect(!meter.isOverBudget)
        meter.finish { forwarded += String(decoding: $0, as: UTF8.self) }
        #expect(meter.isOverBudget)
        meter.raiseBudget(.init(outputTokens: 2)) { forwarded += String(decoding: $0, as: UTF8.self) }
        #expect(forwarded == String(decoding: stream, as: UTF8.self))
        #expect(meter.outputTokens == 2)
    }

    @Test func `usage that a provider reports on the way counts only if the coverage includes it`() {
        func covered(_ text: String, _ budget: TokenBudget) -> Bool {
            var meter = Self.meter()
            meter.budget = budget
            Array(text.utf8).withUnsafeBytes { part in meter.feed(part) { _ in } }
            return !meter.isOverBudget
        }
        let word = String(repeating: "w", count: 40)
        let event = #"data: {"choices":[{"delta":{"content":"\#(word)"}}]}"# + "\n\n"
        let reported = #"data: {"choices":[{"delta":{"content":"\#(word)"}}],"usage":{"prompt_tokens":1,"completion_tokens":4}}"# + "\n\n"
        // Ten tokens by its bytes, one by its event, four by the provider's word.
        #expect(!covered(event, .init(outputTokens: 9)))
        #expect(covered(event, .init(outputTokens: 10)))
        #expect(covered(event, .init(outputTokens: 1, countsEventsOnly: true)))
        #expect(!covered(event + event, .init(outputTokens: 1, countsEventsOnly: true)))
        #expect(!covered(reported, .init(outputTokens: 3)))
        #expect(covered(reported, .init(outputTokens: 4)))
        #expect(!covered(reported, .init(outputTokens: 3, countsEventsOnly: true)))
    }

    @Test func `the last line needs no end`() {
        for stream in [Self.hello + Self.usage + Self.done.dropLast(2), Self.hello + Self.usage.dropLast(2)] {
            var (meter, forwarded) = Self.read(stream, cutAt: [])
            meter.finish { forwarded += String(decoding: $0, as: UTF8.self) }
            #expect(forwarded == Self.hello)
            #expect(meter.usage == Usage(promptTokens: 12, completionTokens: 34))
            #expect(meter.isEnded == stream.hasSuffix("[DONE]"))
        }
    }

    @Test(arguments: [
        (#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135}"#, Int64(103)),
        (#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81}"#, 60),
        (#"{"prompt_tokens":21,"completion_tokens":60,"total_tokens":7}"#, 60),
        (#"{"completion_tokens":9,"total_tokens":135}"#, 9),
        (#"{"prompt_tokens":1,"completion_tokens":9,"total_tokens":9223372036854775807}"#, 9),
    ])
    func `thoughts outside the completion's tokens are charged by the total`(usage: String, output: Int64) {
        let stream = Self.hello + #"data: {"choices":[],"usage":\#(usage)}"# + "\n\n" + Self.done
        #expect(Self.read(stream, cutAt: []).meter.usage?.completionTokens == output)
    }

    @Test(arguments: [#""finish_reason":"error""#, #""error":{"message":"key sk-secret"}"#])
    func `an error in a choice breaks the stream, and its text is not forwarded`(member: String) {
        let failed = #"data: {"choices":[{"index":0,"delta":{"content":""},\#(member)}]}"# + "\n\n"
        let (meter, forwarded) = Self.read(Self.hello + failed + Self.done, cutAt: [])
        #expect(forwarded == Self.hello)
        #expect(meter.failure?.kind == .failedMidStream)
        #expect(!meter.isEnded)
    }

    @Test(arguments: [1, 2])
    func `the last event gets its empty line, so that the gateway's own events stand alone`(missing: Int) {
        let stream = Self.hello + Self.finish.dropLast(missing)
        var (meter, forwarded) = Self.read(stream, cutAt: [])
        meter.finish { forwarded += String(decoding: $0, as: UTF8.self) }
        #expect(forwarded.hasPrefix(stream))
        #expect(forwarded.hasSuffix("\n\n"))
        #expect(meter.isEnded)
    }

    @Test func `usage that ignores content, or precedes it, is replaced by the count`() {
        let zeros = Self.usage.replacing("12", with: "0").replacing("34", with: "0").replacing("46", with: "0")
        func charged(_ stream: String) -> (Usage, Bool) { Self.read(stream, cutAt: []).meter.delivered(promptTokens: 99) }
        #expect(charged(Self.hello + Self.usage) == (Usage(promptTokens: 12, completionTokens: 34), false))
        #expect(charged(Self.hello + zeros) == (Usage(promptTokens: 99, completionTokens: 5), true))
        #expect(
            charged(Self.usage.replacing("34", with: "0").replacing("46", with: "12") + Self.hello) == (
                Usage(promptTokens: 12, completionTokens: 5), true
            ))
        #expect(charged(Self.start + zeros) == (Usage(promptTokens: 0, completionTokens: 0), false))
        #expect(charged(Self.start) == (Usage(promptTokens: 0, completionTokens: 0), true))
    }

    @Test func `a prompt that the provider does not count is estimated`() {
        func charged(_ stream: String) -> (Usage, Bool) { Self.read(stream, cutAt: []).meter.delivered(promptTokens: 99) }
        let none = Self.usage.replacing(#""prompt_tokens":12,"#, with: "")
        for usage in [Self.usage.replacing("12", with: "0"), none] {
            #expect(charged(Self.hello + usage) == (Usage(promptTokens: 99, completionTokens: 34), true))
            #expect(charged(Self.start + usage) == (Usage(promptTokens: 99, completionTokens: 34), true))
        }
        #expect(charged(Self.start + none.replacing("34", with: "0")) == (Usage(promptTokens: 0, completionTokens: 0), false))
    }

    @Test func `impossible usage is not used`() {
        let absurd = Self.usage.replacing("34", with: "9000000000000000000")
        #expect(Self.read(Self.hello + absurd, cutAt: []).meter.usage == nil)
    }

    @Test func `all choices of an event count, and an empty list or object is no content`() {
        let three = #"data: {"choices":[{"delta":{"content":"abcd"}},{"delta":{"content":"ef"}},{"delta":{"content":""}}]}"# + "\n\n"
        let (meter, _) = Self.read(three, cutAt: [])
        #expect(meter.contentEvents == 2)
        #expect(meter.outputTokensDelivered == 2)
        for empty in [#""annotations":[]"#, #""annotations":[ ]"#, #""audio":{}"#, #""content":null"#, #""index":3"#] {
            #expect(Self.read(#"data: {"choices":[{"delta":{\#(empty)}}]}"# + "\n\n", cutAt: []).meter.contentEvents == 0, "\(empty)")
        }
    }

    @Test func `an event above 1 MiB ends the metering, and neither it nor the rest is forwarded`() {
        let long = "data: " + String(repeating: "x", count: SSEParser.eventBytesMax)
        let (meter, forwarded) = Self.read(Self.hello + long + "\n\n" + Self.hello, cutAt: [Self.hello.utf8.count + long.utf8.count])
        #expect(meter.failure != nil)
        #expect(forwarded == Self.hello)
        #expect(meter.contentEvents == 1)
    }

    @Test func `tool calls and reasoning are content too`() {
        let tool = #"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"# + "\n\n"
        let thought = #"data: {"choices":[{"delta":{"reasoning_content":"so"}}]}"# + "\n\n"
        #expect(Self.read(tool + thought, cutAt: []).meter.contentEvents == 2)
    }

    @Test(arguments: [
        "data: {\"usage\":{\"prompt_tokens\":-5}}\n\n", "data: {\"usage\":\n\n", "usage\n\ndata: {}\n\n",
        "data: {\"choices\":[{\"delta\":{}]}\n\n",
    ])
    func `malformed events are forwarded and not counted`(text: String) {
        var (meter, forwarded) = Self.read(text, cutAt: [])
        meter.finish { forwarded += String(decoding: $0, as: UTF8.self) }
        #expect(forwarded == text.replacing("usage\n\n", with: ""))
        #expect(meter.usage == nil)
        #expect(meter.outputTokensDelivered == 0)
    }

    @Test(arguments: ["data: secret text", "data: [1]", "data: \"text\"", "data: 7", "data: null"])
    func `data that is no object breaks the stream`(event: String) {
        let (meter, forwarded) = Self.read(Self.hello + event + "\n\n" + Self.hello, cutAt: [])
        #expect(meter.failure?.kind == .wrongAnswer("with an event that is no JSON object"))
        #expect(forwarded == Self.hello)
    }

    @Test(arguments: [
        #""text":"12345678""#, #""message":{"role":"assistant","content":"12345678"}"#,
        #""delta":{"content":"12345678"},"message":{"content":"1234"},"text":"""#,
    ])
    func `content in another member than the delta is counted, once for each choice`(member: String) {
        let meter = Self.read(#"data: {"choices":[{"index":0,\#(member)}]}"# + "\n\n", cutAt: []).meter
        #expect((meter.contentEvents, meter.outputTokensDelivered) == (1, 2))
    }

    @Test func `usage over several lines stays one event`() throws {
        let lines = [#"{"choices":[{"delta":{}}],"#, #""usage":{"prompt_tokens":1,"completion_tokens":2},"#, #""id":1}"#]
        let event = lines.map { "data: \($0)\n" }.joined() + "\n"
        let (meter, forwarded) = Self.read(event, cutAt: [])
        #expect(meter.usage == Usage(promptTokens: 1, completionTokens: 2))
        #expect(forwarded.split(separator: "\n", omittingEmptySubsequences: true).allSatisfy { $0.hasPrefix("data: ") })
        #expect(!forwarded.contains("usage"))
    }
}
