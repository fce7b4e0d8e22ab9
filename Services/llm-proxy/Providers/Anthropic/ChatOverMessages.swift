import Contracts
import JSON
import Values

/// Chat completions over Anthropic's Messages API. Requests are translated from OpenAI's shape, and
/// answers back into it.
struct ChatOverMessages: WireFormat {
    let path = "/messages"

    let requiresLimit = true

    /// Anthropic writes to its cache for a request with `cache_control` only, which has no price here.
    func promptUnit(of request: ModelRequest) -> UsageUnit { .input }

    // MARK: The request

    /// The members that are translated, or mean nothing to the provider.
    private static let known: Set<String> = [
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "stop", "user",
        "metadata", "service_tier", "store", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "response_format",
    ]

    func flaw(in request: ModelRequest) -> RequestFlaw? {
        if let flaw = PricedMembers.chat.flaw(in: request.json) { return flaw }
        func unsupported(_ param: String, _ remedy: String) -> RequestFlaw {
            RequestFlaw(param: param, message: "\(param) is not supported by the model '\(request.model)'; \(remedy).")
        }
        if request.choices > 1 { return unsupported("n", "set it to 1") }
        for member in request.json.members where member.kind != .null && !Self.known.contains(member.name) {
            return unsupported(member.name, "remove it")
        }
        for name in ["temperature", "top_p"] where request.json.has(name) && request.json.member(name)?.kind != .number {
            return RequestFlaw(param: name, message: "\(name) must be a number.")
        }
        if stopSequences(request.json) == nil {
            return RequestFlaw(param: "stop", message: "stop must be a string or an array of strings.")
        }
        do throws(RequestFlaw) {
            _ = try AnthropicMessage.all(of: request)
            _ = try ChatOverMessagesTools(of: request.json)
            _ = try ReasoningEffort(of: request.json)
            _ = try schema(of: request.json)
        } catch {
            return error
        }
        return nil
    }

    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw? {
        guard let effort = try? ReasoningEffort(of: request.json), effort != .none else { return nil }
        guard model.limits.reasoning != .none else {
            return RequestFlaw(
                param: "reasoning_effort", message: "reasoning_effort is not offered for the model '\(request.model)'; remove it.")
        }
        let limits = ModelLimits.OutputLimitMember.allCases.compactMap { (try? request.json.optionalInteger($0.rawValue)) ?? nil }
        guard let limit = limits.max(), limit < Thinking.outputLeast, ReasoningEffort.isBudget(of: model.providerModel) else { return nil }
        return RequestFlaw(
            param: "reasoning_effort",
            message: "reasoning_effort needs a limit of at least \(Thinking.outputLeast) tokens for the model '\(request.model)'.")
    }

    func addedPromptTokens(to request: ModelRequest) -> Int64 {
        let hasTools = (try? ChatOverMessagesTools(of: request.json))?.isEmpty == false
        let hasSchema = ((try? schema(of: request.json)) ?? nil) != nil
        return (hasTools ? AnthropicTools.addedTokens : 0) + (hasSchema ? AnthropicTools.addedTokens : 0)
    }

    func outputTokensLeast(of request: ModelRequest) -> Int64 {
        guard let effort = try? ReasoningEffort(of: request.json), effort != .none else { return 0 }
        return Thinking.outputLeast
    }

    /// Returns the stop sequences, none if the client set none. Nil if they are not strings.
    private func stopSequences(_ request: JSONObject) -> [String]? {
        guard request.has("stop") else { return [] }
        if let one = try? request.string("stop") { return [one] }
        guard let values = try? request.array("stop") else { return nil }
        let texts = values.compactMap(\.string)
        return texts.count == values.count ? texts : nil
    }

    /// Returns the schema of the answer. Anthropic keeps to it as `strict` does.
    /// - Returns: nil for a text.
    private func schema(of request: JSONObject) throws(RequestFlaw) -> [UInt8]? {
        guard request.has("response_format") else { return nil }
        if let format = try? request.object("response_format") {
            switch try? format.string("type") {
            case "text": return nil
            case "json_schema": if let schema = try? format.object("json_schema").object("schema") { return schema.bytes }
            default: break
            }
        }
        throw RequestFlaw(
            param: "response_format", message: "response_format must have the type 'text', or 'json_schema' with a schema, for this model.")
    }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) throws(RequestFlaw) -> [UInt8] {
        let json = request.json
        let messages = try AnthropicMessage.all(of: request)
        let tools = try ChatOverMessagesTools(of: json)
        let (effort, schema) = (try ReasoningEffort(of: json), try schema(of: json))
        return JSONWriter.object(reserving: json.bytes.count + 256) { body in
            body.field("model", model.providerModel)
            body.field("max_tokens", limit.tokens)
            body.field("stream", request.isStreaming)
            body.field("service_tier", "standard_only")
            if messages.contains(where: \.isSystem) {
                body.array("system") { list in
                    for message in messages where message.isSystem { write(message.blocks, of: json, to: &list) }
                }
            }
            body.array("messages") { list in
                for message in messages where !message.isSystem {
                    list.object { entry in
                        entry.field("role", message.isResult ? "user" : message.role)
                        entry.array("content") { write(message.blocks, of: json, to: &$0) }
                    }
                }
            }
            tools.write(to: &body)
            writeThoughts(effort, schema, model, limit, isInTurn: messages.last { !$0.isSystem }?.isResult ?? false, to: &body)
            for name in ["temperature", "top_p"] where json.has(name) { body.field(name, raw: json.raw(name) ?? []) }
            if let stops = stopSequences(json), !stops.isEmpty {
                body.array("stop_sequences") { list in for stop in stops { list.string(stop) } }
            }
            if let user = try? json.string("user") { body.object("metadata") { $0.field("user_id", user) } }
        }
    }

    /// Writes the thoughts that the client asked for, and the schema of the answer.
    /// - Parameter isInTurn: true if the last messages are results of tools. Anthropic then wants the
    ///   thoughts of the turn back, which a chat completion has not kept, so a budget is left out.
    private func writeThoughts(
        _ effort: ReasoningEffort?, _ schema: [UInt8]?, _ model: Catalogue.Model, _ limit: OutputLimit, isInTurn: Bool,
        to body: inout JSONWriter
    ) {
        let isBudget = ReasoningEffort.isBudget(of: model.providerModel)
        if let effort {
            switch (effort, isBudget) {
            case (.none, true): break
            case (.none, false): body.object("thinking") { $0.field("type", "disabled") }
            case (_, true):
                if !isInTurn {
                    body.object("thinking") { thinking in
                        thinking.field("type", "enabled")
                        thinking.field("budget_tokens", effort.budget(at: limit.tokens))
                    }
                }
            case (_, false): body.object("thinking") { $0.field("type", "adaptive") }
            }
        }
        let word = isBudget || effort == ReasoningEffort.none ? nil : effort?.word
        guard word != nil || schema != nil else { return }
        body.object("output_config") { config in
            if let word { config.field("effort", word) }
            if let schema {
                config.object("format") { format in
                    format.field("type", "json_schema")
                    format.field("schema", raw: schema)
                }
            }
        }
    }

    private func write(_ blocks: [AnthropicMessage.Block], of request: JSONObject, to list: inout JSONWriter) {
        for block in blocks {
            list.object { json in
                switch block {
                case .text(let text):
                    json.field("type", "text")
                    json.field("text", raw: request.bytes[text])
                case .picture(let picture):
                    json.field("type", "image")
                    json.object("source") { write(picture, of: request, to: &$0) }
                case .call(let id, let name, let input):
                    json.field("type", "tool_use")
                    json.field("id", raw: request.bytes[id])
                    json.field("name", raw: request.bytes[name])
                    json.field("input", raw: input)
                case .result(let id, let texts):
                    json.field("type", "tool_result")
                    json.field("tool_use_id", raw: request.bytes[id])
                    json.array("content") { write(texts.map { .text($0) }, of: request, to: &$0) }
                }
            }
        }
    }

    private func write(_ picture: AnthropicPicture, of request: JSONObject, to json: inout JSONWriter) {
        switch picture {
        case .data(let mediaType, let base64):
            json.field("type", "base64")
            json.field("media_type", mediaType)
            json.field("data", raw: [UInt8(ascii: "\"")] + request.bytes[base64] + [UInt8(ascii: "\"")])
        case .url(let url):
            json.field("type", "url")
            json.field("url", raw: request.bytes[url])
        }
    }

    // MARK: The answer

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), (try? json.string("type")) == "message", let blocks = try? json.array("content") else {
            throw ProviderFailure(.wrongAnswer("with something else than a message"))
        }
        var content = Content()
        for block in blocks { try content.add(block) }
        var reported = body.withUnsafeBytes { JSONScan($0)["usage"].flatMap { AnthropicUsage($0) } }
        if blocks.isEmpty { reported?.output = 0 }
        let answer = JSONWriter.object(reserving: body.count + 512) { answer in
            answer.field("id", (try? json.string("id")) ?? "")
            answer.field("object", "chat.completion")
            answer.field("created", context.createdAt)
            answer.field("model", context.model)
            answer.array("choices") { choices in
                choices.object { choice in
                    choice.field("index", 0)
                    choice.object("message") { content.write(to: &$0) }
                    choice.field("logprobs", nil as String?)
                    choice.field("finish_reason", ChatOverMessagesEvents.finishReason((try? json.optionalString("stop_reason")) ?? nil))
                }
            }
            if let reported { answer.object("usage") { reported.write(to: &$0) } }
        }
        guard let translated = try? JSONObject(answer) else { throw ProviderFailure(.wrongAnswer("with a message that cannot be read")) }
        return WholeAnswer(json: translated, reported: reported?.tokens, contentBytes: Int64(content.bytes))
    }

    func reader(_ context: AnswerContext) -> any EventReader { ChatOverMessagesEvents(context) }

    /// The content of an answer in one piece.
    private struct Content {
        private var text: String?
        private var thoughts: String?
        private var calls: [(id: String, name: String, arguments: [UInt8])] = []
        private(set) var bytes = 0

        mutating func add(_ block: JSONValue) throws(ProviderFailure) {
            guard let block = block.object, let type = try? block.string("type") else {
                throw ProviderFailure(.wrongAnswer("with content that cannot be read"))
            }
            bytes += block.bytes.withUnsafeBytes { AnthropicContent.bytes(of: JSONScan($0)) }
            switch type {
            case "text": if let piece = try? block.string("text") { return text = (text ?? "") + piece }
            case "thinking": if let piece = try? block.string("thinking") { return thoughts = (thoughts ?? "") + piece }
            case "redacted_thinking": return
            case "tool_use":
                if let id = try? block.string("id"), let name = try? block.string("name"), let input = try? block.object("input") {
                    return calls.append((id, name, input.bytes))
                }
            default: throw ProviderFailure(.wrongAnswer("with content that no request asks for"))
            }
            throw ProviderFailure(.wrongAnswer("with content that cannot be read"))
        }

        func write(to message: inout JSONWriter) {
            message.field("role", "assistant")
            message.field("content", text ?? (calls.isEmpty ? "" : nil))
            if let thoughts { message.field("reasoning_content", thoughts) }
            if !calls.isEmpty {
                message.array("tool_calls") { list in
                    for call in calls {
                        list.object { json in
                            json.field("id", call.id)
                            json.field("type", "function")
                            json.object("function") { function in
                                function.field("name", call.name)
                                function.field("arguments", String(decoding: call.arguments, as: UTF8.self))
                            }
                        }
                    }
                }
            }
            message.field("refusal", nil as String?)
        }
    }
}
