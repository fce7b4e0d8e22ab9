import Contracts
import HTTP
import HTTPWire
import JSON
import SSE

/// `POST /v1/messages`: Anthropic's shape.
struct CreateMessage: CallShape {
    // MARK: The request

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: MessageMembers.names)
        let model = try CallRequest.modelName(of: json)
        let isStreaming: Bool
        let limit: Int64
        do throws(JSONError) {
            guard let messages = json.member("messages"), messages.kind != .null else { throw .missing("messages") }
            guard messages.kind == .array else { throw .wrongType("messages", expected: "an array") }
            isStreaming = try json.optionalBool("stream") ?? false
            guard let tokens = try json.optionalInteger("max_tokens", in: 1...10_000_000) else { throw .missing("max_tokens") }
            limit = tokens
        } catch {
            throw .json(error)
        }
        let prompt = try MessagePrompt(of: json)
        return CallRequest(
            modelRequest: ModelRequest(
                surface: .messages, json: json, model: model, isStreaming: isStreaming, includeUsage: true, choices: 1,
                pictures: prompt.size.pictures, cacheWrite: prompt.cacheWrite),
            prompt: prompt.size, outputTokensMax: limit)
    }

    func providerHeaders(_ headers: HeaderBlock) -> HeaderBlock {
        var passed = HeaderBlock()
        for value in headers.strings(for: AnthropicBetas.field) { passed.add(AnthropicBetas.field, value) }
        return passed
    }

    // MARK: The answer

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { Self.adding(receipt, to: answer.json) }

    /// Returns the last `message_delta`, with the credits that the call cost, and the end marker.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        let change = usageChunk.flatMap { try? JSONObject($0) }
        let data = change.map { Self.adding(receipt, to: $0) } ?? Self.change(receipt)
        return SSEEvent.encode(data, name: "message_delta")
            + SSEEvent.encode(Array(#"{"type":"message_stop"}"#.utf8), name: "message_stop")
    }

    func event(of problem: Problem) -> [UInt8] { SSEEvent.encode(problem.anthropicBody(), name: "error") }

    // MARK: Usage

    /// Adds the credits to the usage of a message, or of a change of one, without touching the rest.
    private static func adding(_ receipt: CallReceipt, to object: JSONObject) -> [UInt8] {
        var splice = JSONSplice(object)
        if let reported = (try? object.optionalObject("usage")) ?? nil {
            var usage = JSONSplice(reported)
            for (name, text) in ResponseUsage.credits(receipt) { usage.set(name, raw: Array(text.utf8)) }
            splice.set("usage", raw: usage.apply())
        } else {
            splice.set("usage", raw: usage(receipt))
        }
        return splice.apply()
    }

    /// Makes the change of a stream whose provider sent none.
    private static func change(_ receipt: CallReceipt) -> [UInt8] {
        JSONWriter.object { change in
            change.field("type", "message_delta")
            change.object("delta") { delta in
                delta.field("stop_reason", "end_turn")
                delta.field("stop_sequence", nil as String?)
            }
            change.field("usage", raw: usage(receipt))
        }
    }

    private static func usage(_ receipt: CallReceipt) -> [UInt8] {
        JSONWriter.object { json in
            json.field("input_tokens", receipt.usage[.input])
            json.field("cache_creation_input_tokens", receipt.usage[.cacheWrite] + receipt.usage[.cacheWrite1h])
            json.field("cache_read_input_tokens", receipt.usage[.cachedInput])
            json.field("output_tokens", receipt.usage.completionTokens)
            for (name, text) in ResponseUsage.credits(receipt) { json.field(name, raw: Array(text.utf8)) }
        }
    }
}
