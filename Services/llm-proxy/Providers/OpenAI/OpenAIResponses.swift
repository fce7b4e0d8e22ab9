import Contracts
import JSON
import Text

/// OpenAI's Responses. Requests and answers pass through with the bytes that they had, but for the
/// members that the gateway writes. No response is stored.
struct OpenAIResponses: WireFormat {
    let path = "/responses"

    let requiresLimit = false

    /// The least limit of an answer that OpenAI takes.
    static let limitLeast: Int64 = 16

    /// OpenAI writes prompts to its cache unasked.
    func promptUnit(of request: ModelRequest) -> UsageUnit { .cacheWrite }

    // MARK: The request

    /// Stored prompts and compaction add tokens that the gateway cannot count.
    static let priced = PricedMembers([
        ("prompt", .absent), ("context_management", .absent), ("background_options", .absent),
        ("max_tokens", .renamed("max_output_tokens")), ("max_completion_tokens", .renamed("max_output_tokens")),
    ])

    func flaw(in request: ModelRequest) -> RequestFlaw? {
        Self.storedFlaw(request.json) ?? Self.reasoningFlaw(request.json) ?? Self.priced.flaw(in: request.json)
    }

    /// Another mode can make several answers of which the client gets one.
    private static func reasoningFlaw(_ request: JSONObject) -> RequestFlaw? {
        let reasoning: JSONObject
        do throws(JSONError) {
            guard let object = try request.optionalObject("reasoning") else { return nil }
            reasoning = object
        } catch {
            return RequestFlaw(param: "reasoning", message: "reasoning cannot be read: \(error).")
        }
        do throws(RequestFlaw) { try MemberNames.check(reasoning, ["mode"], at: "reasoning.") } catch { return error }
        guard reasoning.has("mode"), (try? reasoning.string("mode")) != "standard" else { return nil }
        return RequestFlaw(param: "reasoning.mode", message: "reasoning.mode must be 'standard'; anything else has no price here.")
    }

    /// Returns the flaw of a member that needs a stored response, with a remedy of its own.
    private static func storedFlaw(_ request: JSONObject) -> RequestFlaw? {
        if request.raw("store")?.elementsEqual("true".utf8) == true {
            return RequestFlaw(param: "store", message: "store must be false, because no response is stored here.")
        }
        for name in ["previous_response_id", "conversation"] where request.has(name) {
            return RequestFlaw(
                param: name, message: "\(name) names a stored conversation, and none is stored here; send all items in input.")
        }
        return nil
    }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] {
        var splice = request.splice(for: model)
        if request.json.raw("store")?.elementsEqual("false".utf8) != true { splice.set("store", raw: Array("false".utf8)) }
        if limit.isSent, (try? request.json.optionalInteger("max_output_tokens")) != limit.tokens {
            splice.set("max_output_tokens", raw: Array(String(limit.tokens).utf8))
        }
        return splice.apply()
    }

    // MARK: The answer

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), !json.has("error"), json.member("output")?.kind == .array,
            [nil, "completed", "incomplete"].contains(try? json.optionalString("status"))
        else { throw ProviderFailure(.wrongAnswer("with something else than a whole response")) }
        return body.withUnsafeBytes {
            WholeAnswer(json: json, reported: Self.usage(of: JSONScan($0)), contentBytes: Self.content(JSONScan($0)))
        }
    }

    /// Reads the usage of a response, in one piece or at the end of a stream.
    static func usage(of response: JSONScan) -> Usage? {
        var usage = response["usage"].flatMap { Usage(openAI: $0, .responses) }
        usage?.take(tier: response["service_tier"])
        return usage
    }

    /// Returns the bytes of the texts, calls and thoughts of a response.
    static func content(_ response: JSONScan) -> Int64 {
        var bytes = 0
        response["output"]?.forEachElement { item in
            item.forEachMember { name, value in
                switch name {
                case "arguments", "input": bytes += OpenAIContent.bytes(ofValue: value.bytes)
                case "content", "summary": bytes += texts(value)
                default: break
                }
                return true
            }
            return true
        }
        return Int64(bytes)
    }

    private static func texts(_ parts: JSONScan) -> Int {
        var bytes = 0
        parts.forEachElement { part in
            for text in [part["text"], part["refusal"]] { bytes += text.map { OpenAIContent.bytes(ofValue: $0.bytes) } ?? 0 }
            return true
        }
        return bytes
    }

    func reader(_ context: AnswerContext) -> any EventReader { OpenAIResponseEvents() }
}
