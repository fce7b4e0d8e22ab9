import Contracts
import JSON

/// Anthropic's Messages API over OpenAI's Chat Completions. Requests are translated from Anthropic's
/// shape, and answers back into it.
struct MessagesOverChat: WireFormat {
    private let chat = OpenAIChat()

    var path: String { chat.path }
    var requiresLimit: Bool { true }

    func promptUnit(of request: ModelRequest) -> UsageUnit { chat.promptUnit(of: request) }

    // MARK: The request

    func flaw(in request: ModelRequest) -> RequestFlaw? {
        let json = request.json
        if let flaw = MessageMembers.flaw(in: json) { return flaw }
        for name in ["top_k", "output_format"] where json.has(name) {
            return RequestFlaw(param: name, message: "\(name) is not supported by the model '\(request.model)'; remove it.")
        }
        for name in ["temperature", "top_p"] where json.has(name) && json.member(name)?.kind != .number {
            return RequestFlaw(param: name, message: "\(name) must be a number.")
        }
        // Thoughts are left out of the prompt anyway, so clearing them changes nothing.
        if MessageMembers.contextEdits(of: json)?.allSatisfy({ $0.hasPrefix("clear_thinking_") }) == false {
            return RequestFlaw(
                param: "context_management",
                message: "context_management may only clear thinking for the model '\(request.model)'; remove other edits.")
        }
        do throws(RequestFlaw) {
            _ = try MessageTurn.all(of: request)
            _ = try MessageTools(of: json)
            _ = try OutputConfig(of: json)
            _ = try stopSequences(json)
        } catch {
            return error
        }
        return nil
    }

    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw? {
        guard model.limits.reasoning == .none else { return nil }
        func flaw(_ param: String) -> RequestFlaw {
            RequestFlaw(param: param, message: "\(param) is not offered for the model '\(request.model)'; remove it.")
        }
        if Thinking(of: request.json) != nil { return flaw("thinking") }
        return (try? OutputConfig(of: request.json))?.effort == nil ? nil : flaw("output_config.effort")
    }

    private func stopSequences(_ request: JSONObject) throws(RequestFlaw) -> ArraySlice<UInt8>? {
        guard request.has("stop_sequences") else { return nil }
        guard let values = try? request.array("stop_sequences"), values.allSatisfy({ $0.string != nil }) else {
            throw RequestFlaw(param: "stop_sequences", message: "stop_sequences must be an array of strings.")
        }
        return values.isEmpty ? nil : request.raw("stop_sequences")
    }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) throws(RequestFlaw) -> [UInt8] {
        let json = request.json
        let turns = try MessageTurn.all(of: request)
        let tools = try MessageTools(of: json)
        let (config, stops) = (try OutputConfig(of: json), try stopSequences(json))
        return JSONWriter.object(reserving: json.bytes.count + 256) { body in
            body.field("model", model.providerModel)
            body.array("messages") { list in for turn in turns { write(turn, of: json, to: &list) } }
            body.field(model.limits.outputLimitMember.rawValue, limit.tokens)
            if request.isStreaming {
                body.field("stream", true)
                body.object("stream_options") { $0.field("include_usage", true) }
            }
            tools.write(to: &body)
            for name in ["temperature", "top_p"] where json.has(name) { body.field(name, raw: json.raw(name) ?? []) }
            if let stops { body.field("stop", raw: stops) }
            // A model whose thoughts are visible has no effort.
            if model.limits.reasoning == .hidden, let effort = config.effort ?? Thinking(of: json)?.effort {
                body.field("reasoning_effort", effort)
            }
            if let schema = config.schema {
                body.object("response_format") { format in
                    format.field("type", "json_schema")
                    format.object("json_schema") { json in
                        json.field("name", "answer")
                        json.field("schema", raw: schema)
                        json.field("strict", true)
                    }
                }
            }
        }
    }

    /// Writes the messages of a turn. Results of tools are messages of their own, before the rest.
    private func write(_ turn: MessageTurn, of request: JSONObject, to list: inout JSONWriter) {
        var (parts, calls): ([MessageTurn.Block], [MessageTurn.Block]) = ([], [])
        var hasResults = false
        for block in turn.blocks {
            switch block {
            case .text, .picture: parts.append(block)
            case .call: calls.append(block)
            case .result(let id, let isError, let texts):
                hasResults = true
                list.object { message in
                    message.field("role", "tool")
                    message.field("tool_call_id", raw: request.bytes[id])
                    // OpenAI has no mark of an error.
                    let mark = isError ? [UInt8(ascii: "\"")] + Array("Error: ".utf8) + [UInt8(ascii: "\"")] : nil
                    writeTexts((mark.map { [$0[...]] } ?? []) + texts.map { request.bytes[$0] }, to: &message)
                }
            }
        }
        guard !hasResults || !parts.isEmpty else { return }
        list.object { message in
            message.field("role", turn.role)
            write(parts, of: request, isNullable: !calls.isEmpty, to: &message)
            guard !calls.isEmpty else { return }
            message.array("tool_calls") { list in
                for case .call(let id, let name, let input) in calls {
                    list.object { call in
                        call.field("id", raw: request.bytes[id])
                        call.field("type", "function")
                        call.object("function") { function in
                            function.field("name", raw: request.bytes[name])
                            function.field("arguments", String(decoding: request.bytes[input], as: UTF8.self))
                        }
                    }
                }
            }
        }
    }

    private func write(_ parts: [MessageTurn.Block], of request: JSONObject, isNullable: Bool, to message: inout JSONWriter) {
        let texts = parts.compactMap { if case .text(let text) = $0 { request.bytes[text] } else { nil } }
        if texts.count == parts.count {
            return isNullable && texts.isEmpty ? message.field("content", nil as String?) : writeTexts(texts, to: &message)
        }
        message.array("content") { list in
            for part in parts {
                list.object { json in
                    switch part {
                    case .text(let text): writeText(request.bytes[text], to: &json)
                    case .picture(let picture):
                        json.field("type", "image_url")
                        json.object("image_url") { $0.field("url", raw: url(of: picture, in: request)) }
                    case .call, .result: break
                    }
                }
            }
        }
    }

    /// Not every server takes an array where a string is enough.
    private func writeTexts(_ texts: [ArraySlice<UInt8>], to message: inout JSONWriter) {
        guard texts.count > 1 else { return message.field("content", raw: texts.first ?? [UInt8(ascii: "\""), UInt8(ascii: "\"")]) }
        message.array("content") { list in for text in texts { list.object { writeText(text, to: &$0) } } }
    }

    private func writeText(_ text: ArraySlice<UInt8>, to part: inout JSONWriter) {
        part.field("type", "text")
        part.field("text", raw: text)
    }

    private func url(of picture: MessageTurn.Picture, in request: JSONObject) -> [UInt8] {
        switch picture {
        case .url(let url): Array(request.bytes[url])
        case .data(let mediaType, let base64): Array("\"data:\(mediaType);base64,".utf8) + request.bytes[base64] + [UInt8(ascii: "\"")]
        }
    }

    // MARK: The answer

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        let answer = try chat.answer(body, context)
        guard let choice = (try? answer.json.array("choices"))?.first?.object, let message = try? choice.object("message") else {
            throw ProviderFailure(.wrongAnswer("with a chat completion that has no message"))
        }
        let reason = (try? choice.optionalString("finish_reason")) ?? nil
        let calls = try Self.calls(of: message, isCut: reason == "length")
        let translated = JSONWriter.object(reserving: body.count + 512) { json in
            json.field("id", (try? answer.json.string("id")) ?? "")
            json.field("type", "message")
            json.field("role", "assistant")
            json.field("model", context.model)
            json.array("content") { list in
                if let thoughts = Self.text(message, "reasoning_content") ?? Self.text(message, "reasoning") {
                    list.object { block in
                        block.field("type", "thinking")
                        block.field("thinking", thoughts)
                        block.field("signature", "")
                    }
                }
                for name in ["content", "refusal"] {
                    guard let text = Self.text(message, name) else { continue }
                    list.object { block in
                        block.field("type", "text")
                        block.field("text", text)
                    }
                }
                for call in calls {
                    list.object { block in
                        block.field("type", "tool_use")
                        block.field("id", call.id)
                        block.field("name", call.name)
                        block.field("input", raw: call.input)
                    }
                }
            }
            json.field("stop_reason", Self.stopReason(reason, hasCalls: !calls.isEmpty))
            json.field("stop_sequence", nil as String?)
            if let reported = answer.reported { json.object("usage") { reported.writeMessageUsage(to: &$0) } }
        }
        guard let json = try? JSONObject(translated) else { throw ProviderFailure(.wrongAnswer("with an answer that cannot be read")) }
        return WholeAnswer(json: json, reported: answer.reported, contentBytes: answer.contentBytes)
    }

    /// Returns a text that is not empty. Some servers send it as an array of parts.
    private static func text(_ message: JSONObject, _ name: String) -> String? {
        guard message.has(name) else { return nil }
        let text = (try? message.string(name)) ?? (try? message.array(name))?.compactMap { try? $0.object?.string("text") }.joined()
        return text.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// - Parameter isCut: true if the limit may have cut the arguments. They are left out then.
    private static func calls(
        of message: JSONObject, isCut: Bool
    ) throws(ProviderFailure) -> [(id: String, name: String, input: [UInt8])] {
        guard message.has("tool_calls") else { return [] }
        var calls: [(id: String, name: String, input: [UInt8])] = []
        for call in (try? message.array("tool_calls")) ?? [] {
            guard let call = call.object, let id = try? call.string("id"), let function = try? call.object("function"),
                let name = try? function.string("name")
            else { throw ProviderFailure(.wrongAnswer("with a call of a tool that cannot be read")) }
            let arguments = Array(((try? function.optionalString("arguments")) ?? nil ?? "").utf8)
            if (try? JSONObject(arguments)) != nil {
                calls.append((id, name, arguments))
            } else if arguments.isEmpty || isCut {
                calls.append((id, name, Array("{}".utf8)))
            } else {
                throw ProviderFailure(.wrongAnswer("with arguments of a tool that are no JSON object"))
            }
        }
        return calls
    }

    static func stopReason(_ reason: String?, hasCalls: Bool) -> String {
        switch reason {
        case "length": "max_tokens"
        case "content_filter": "refusal"
        case "tool_calls", "function_call": "tool_use"
        default: hasCalls ? "tool_use" : "end_turn"
        }
    }

    func reader(_ context: AnswerContext) -> any EventReader { MessagesOverChatEvents(context) }
}

/// The member `output_config` of a Messages request as OpenAI takes it.
private struct OutputConfig {
    /// OpenAI's word for the effort.
    var effort: String?
    var schema: [UInt8]?

    init(of request: JSONObject) throws(RequestFlaw) {
        do throws(JSONError) {
            guard let config = try request.optionalObject("output_config") else { return }
            for member in config.members where member.kind != .null && !["effort", "format"].contains(member.name) {
                throw .wrongType("output_config.\(member.name)", expected: "absent for this model")
            }
            switch try config.optionalString("effort") {
            case nil: break
            case let word? where ["low", "medium", "high"].contains(word): effort = word
            case "xhigh", "max": effort = "high"
            default: throw .wrongType("output_config.effort", expected: "low, medium, high, xhigh or max")
            }
            guard let format = try config.optionalObject("format") else { return }
            guard try format.string("type") == "json_schema" else { throw .wrongType("output_config.format.type", expected: "json_schema") }
            schema = try format.object("schema").bytes
        } catch {
            throw RequestFlaw(param: "output_config", message: "output_config is not valid: \(error).")
        }
    }
}

extension Thinking {
    /// OpenAI's word for a budget. Nil: the model decides.
    fileprivate var effort: String? { budget.map { $0 < 4_096 ? "low" : $0 < 16_384 ? "medium" : "high" } }
}

extension Usage {
    /// Writes the members of Anthropic's usage object.
    func writeMessageUsage(to json: inout JSONWriter) {
        json.field("input_tokens", self[.input] + self[.audioInput])
        json.field("cache_creation_input_tokens", self[.cacheWrite] + self[.cacheWrite1h])
        json.field("cache_read_input_tokens", self[.cachedInput])
        json.field("output_tokens", completionTokens)
    }
}
