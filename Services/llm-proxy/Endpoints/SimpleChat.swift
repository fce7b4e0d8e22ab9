import HTTP
import JSON
import SSE
import Values

/// `POST /api/llm/chat`, `/api/llm/stream`, `/api/v1/llm/invoke` and `/api/v1/llm/test`: a chat for pages
/// and small programs.
///
/// A request has `messages`, or a `prompt`; `model` is the operator's default if it is absent. All
/// other members are those of a chat completion. A stream has the events `delta`, `usage` and `done`,
/// or `error` at its end.
struct SimpleChat: CallShape {
    var isStreaming = false
    /// The prompt of a request that has none.
    var defaultPrompt: String?
    /// Returns the model of a request that names none. Nil without a model to choose.
    let defaultModel: @Sendable () -> String?

    // MARK: The request

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: ["model", "messages", "prompt", "stream", "stream_options", "n"])
        var splice = JSONSplice(json)
        for name in ["stream", "stream_options", "n"] where json.has(name) {
            throw .invalid(param: name, message: "\(name) is not a member of this call; remove it.")
        }
        splice.set("stream", raw: Array("\(isStreaming)".utf8))
        if !json.has("model"), let model = defaultModel() { splice.set("model", raw: Self.text(model)) }
        let prompt: String?
        do throws(JSONError) { prompt = try json.optionalString("prompt") } catch { throw .json(error) }
        if json.member("prompt") != nil { splice.remove("prompt") }
        if json.has("messages") {
            guard prompt == nil else {
                throw .invalid(param: "prompt", message: "prompt cannot be given with messages; send one of them.")
            }
        } else if let prompt = prompt ?? defaultPrompt {
            splice.set("messages", raw: Array(#"[{"role":"user","content":"#.utf8) + Self.text(prompt) + Array("}]".utf8))
        }
        return try ChatCompletions().read(splice.apply())
    }

    private static func text(_ string: String) -> [UInt8] {
        var json = JSONWriter()
        json.string(string)
        return json.bytes
    }

    // MARK: The answer

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] {
        let choice = (try? answer.json.array("choices"))?.first?.object
        let message = (try? choice?.optionalObject("message")) ?? nil
        func text(_ name: String, of object: JSONObject?) -> String? { (try? object?.optionalString(name)) ?? nil }
        return JSONWriter.object { json in
            json.field("id", text("id", of: answer.json))
            json.field("model", text("model", of: answer.json))
            json.field("content", raw: message?.raw("content") ?? Array("null".utf8)[...])
            if let calls = message?.raw("tool_calls"), message?.has("tool_calls") == true { json.field("toolCalls", raw: calls) }
            json.field("finishReason", text("finish_reason", of: choice))
            json.object("usage") { usage in write(receipt, to: &usage) }
            writeCredits(receipt, to: &json)
        }
    }

    func translator() -> (any StreamTranslator)? { SimpleEvents() }

    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        let usage = JSONWriter.object { json in
            write(receipt, to: &json)
            writeCredits(receipt, to: &json)
        }
        return SimpleEvents.encode("usage", usage) + SimpleEvents.encode("done", JSONWriter.object { $0.field("model", model) })
    }

    func event(of problem: Problem) -> [UInt8] { SimpleEvents.encode("error", problem.body) }

    private func write(_ receipt: CallReceipt, to json: inout JSONWriter) {
        json.field("promptTokens", receipt.usage.promptTokens)
        json.field("completionTokens", receipt.usage.completionTokens)
        json.field("totalTokens", receipt.usage.promptTokens + receipt.usage.completionTokens)
    }

    private func writeCredits(_ receipt: CallReceipt, to json: inout JSONWriter) {
        json.field("creditsUsed", raw: receipt.used.description.utf8)
        json.field("creditsRemaining", raw: (receipt.remaining?.description ?? "null").utf8)
        if let limit = receipt.maxTokensClamped { json.field("maxTokensClamped", limit) }
    }
}

/// Turns the chunks of a chat completion into `delta` events: `{"content"}`, `{"reasoning"}`,
/// `{"toolCalls"}`, `{"finishReason"}`.
private struct SimpleEvents: StreamTranslator {
    private var parser = SSEParser()

    static func encode(_ name: String, _ data: [UInt8]) -> [UInt8] { Array("event: \(name)\n".utf8) + SSEEvent.encode(data) }

    mutating func translate(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var output: [UInt8] = []
        _ = parser.feed(bytes) { event in
            guard let data = event.data else { return true }
            JSONScan(data)["choices"]?.forEachElement { choice in
                if let delta = Self.delta(of: choice) { output += Self.encode("delta", delta) }
                return true
            }
            return true
        }
        return output
    }

    /// - Returns: nil for a choice that tells nothing.
    private static func delta(of choice: JSONScan) -> [UInt8]? {
        var isEmpty = true
        let delta = JSONWriter.object { json in
            func field(_ name: String, _ value: JSONScan?) {
                guard let value, !value.isNull, value.bytes.count > 2 else { return }
                json.field(name, raw: value.bytes)
                isEmpty = false
            }
            let delta = choice["delta"]
            field("content", delta?["content"])
            field("reasoning", delta?["reasoning_content"] ?? delta?["reasoning"])
            field("toolCalls", delta?["tool_calls"])
            field("finishReason", choice["finish_reason"])
        }
        return isEmpty ? nil : delta
    }
}
