import Contracts
import JSON
import Values

/// Chat completions over Anthropic's Messages API, text only. Requests are translated from OpenAI's
/// shape, and answers back into it.
struct ChatOverMessages: WireFormat {
    let path = "/messages"

    let requiresLimit = true

    /// Anthropic writes to its cache for a request with `cache_control` only, which has no price here.
    func promptUnit(of request: ModelRequest) -> UsageUnit { .input }

    // MARK: The request

    /// The members that are translated, or mean nothing to the provider.
    private static let known: Set<String> = [
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "stop", "user",
        "metadata", "service_tier", "store",
    ]

    func flaw(in request: ModelRequest) -> RequestFlaw? {
        if let flaw = missingAbility(in: request) ?? PricedMembers.chat.flaw(in: request.json) { return flaw }
        for member in request.json.members where member.kind != .null && !Self.known.contains(member.name) {
            return RequestFlaw(
                param: member.name, message: "\(member.name) is not supported by the model '\(request.model)'; remove it.")
        }
        for name in ["temperature", "top_p"] where request.json.has(name) && request.json.member(name)?.kind != .number {
            return RequestFlaw(param: name, message: "\(name) must be a number.")
        }
        if stopSequences(request.json) == nil {
            return RequestFlaw(param: "stop", message: "stop must be a string or an array of strings.")
        }
        do throws(RequestFlaw) { _ = try AnthropicMessage.all(of: request) } catch { return error }
        return nil
    }

    private func missingAbility(in request: ModelRequest) -> RequestFlaw? {
        func flaw(_ param: String, _ remedy: String) -> RequestFlaw {
            RequestFlaw(param: param, message: "\(param) is not supported by the model '\(request.model)'; \(remedy).")
        }
        if request.choices > 1 { return flaw("n", "set it to 1") }
        return request.pictures > 0 ? flaw("messages", "send text only") : nil
    }

    /// Returns the stop sequences, none if the client set none. Nil if they are not strings.
    private func stopSequences(_ request: JSONObject) -> [String]? {
        guard request.has("stop") else { return [] }
        if let one = try? request.string("stop") { return [one] }
        guard let values = try? request.array("stop") else { return nil }
        let texts = values.compactMap(\.string)
        return texts.count == values.count ? texts : nil
    }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) throws(RequestFlaw) -> [UInt8] {
        let json = request.json
        let messages = try AnthropicMessage.all(of: request)
        return JSONWriter.object(reserving: json.bytes.count + 256) { body in
            body.field("model", model.providerModel)
            body.field("max_tokens", limit.tokens)
            body.field("stream", request.isStreaming)
            if messages.contains(where: \.isSystem) {
                body.array("system") { list in for message in messages where message.isSystem { write(message, of: json, to: &list) } }
            }
            body.array("messages") { list in
                for message in messages where !message.isSystem {
                    list.object { entry in
                        entry.field("role", message.role)
                        entry.array("content") { write(message, of: json, to: &$0) }
                    }
                }
            }
            for name in ["temperature", "top_p"] where json.has(name) { body.field(name, raw: json.raw(name) ?? []) }
            if let stops = stopSequences(json), !stops.isEmpty {
                body.array("stop_sequences") { list in for stop in stops { list.string(stop) } }
            }
            if let user = try? json.string("user") { body.object("metadata") { $0.field("user_id", user) } }
        }
    }

    private func write(_ message: AnthropicMessage, of request: JSONObject, to list: inout JSONWriter) {
        for text in message.texts {
            list.object { part in
                part.field("type", "text")
                part.field("text", raw: request.bytes[text])
            }
        }
    }

    // MARK: The answer

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), (try? json.string("type")) == "message", let parts = try? json.array("content") else {
            throw ProviderFailure(.wrongAnswer("with something else than a message"))
        }
        var text = ""
        for part in parts {
            guard let object = part.object, (try? object.string("type")) == "text", let piece = try? object.string("text") else {
                throw ProviderFailure(.wrongAnswer("with content that is not text"))
            }
            text += piece
        }
        let reported = body.withUnsafeBytes { JSONScan($0)["usage"].flatMap { AnthropicUsage($0) } }
        let answer = JSONWriter.object(reserving: body.count + 512) { answer in
            answer.field("id", (try? json.string("id")) ?? "")
            answer.field("object", "chat.completion")
            answer.field("created", context.createdAt)
            answer.field("model", context.model)
            answer.array("choices") { choices in
                choices.object { choice in
                    choice.field("index", 0)
                    choice.object("message") { message in
                        message.field("role", "assistant")
                        message.field("content", text)
                        message.field("refusal", nil as String?)
                    }
                    choice.field("logprobs", nil as String?)
                    choice.field("finish_reason", ChatOverMessagesEvents.finishReason((try? json.optionalString("stop_reason")) ?? nil))
                }
            }
            if let reported { answer.object("usage") { reported.write(to: &$0) } }
        }
        guard let translated = try? JSONObject(answer) else { throw ProviderFailure(.wrongAnswer("with a message that cannot be read")) }
        return WholeAnswer(json: translated, reported: reported?.tokens, contentBytes: Int64(text.utf8.count))
    }

    func reader(_ context: AnswerContext) -> any EventReader { ChatOverMessagesEvents(context) }
}
