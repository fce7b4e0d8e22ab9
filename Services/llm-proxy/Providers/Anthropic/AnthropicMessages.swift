import Contracts
import HTTPWire
import JSON

/// Anthropic's Messages API. Requests and answers pass through with the bytes that they had, but for
/// the members that the gateway writes.
struct AnthropicMessages: WireFormat {
    let path = "/messages"

    let requiresLimit = true

    func promptUnit(of request: ModelRequest) -> UsageUnit { request.cacheWrite ?? .input }

    // MARK: The request

    func flaw(in request: ModelRequest) -> RequestFlaw? {
        MessageMembers.flaw(in: request.json) ?? AnthropicTools.flaw(in: request.json)
    }

    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw? {
        if Thinking(of: request.json) != nil, model.limits.reasoning == .none {
            return RequestFlaw(param: "thinking", message: "thinking is not offered for the model '\(request.model)'; remove it.")
        }
        guard let unit = request.cacheWrite, !model.price.bounds(unit) else { return nil }
        let member = unit == .cacheWrite1h ? "cache_control with the ttl 1h" : "cache_control"
        return RequestFlaw(param: "cache_control", message: "\(member) has no price for the model '\(request.model)'; remove it.")
    }

    func addedPromptTokens(to request: ModelRequest) -> Int64 { AnthropicTools.addedPromptTokens(to: request.json) }

    func outputTokensLeast(of request: ModelRequest) -> Int64 {
        Thinking(of: request.json)?.budget == nil ? 0 : Thinking.outputLeast
    }

    func headers(of request: ModelRequest, for model: Catalogue.Model) -> HeaderBlock { AnthropicBetas.headers(of: request, for: model) }

    /// The request has the provider's name of the model, the limit of the answer with a budget of
    /// thoughts that fits it, and the only tier that has a price.
    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] {
        let json = request.json
        var splice = JSONSplice(json)
        if model.providerModel != request.model {
            var name = JSONWriter()
            name.string(model.providerModel)
            splice.set("model", raw: name.bytes)
        }
        let asked = (try? json.integer("max_tokens")) ?? limit.tokens
        if asked != limit.tokens { splice.set("max_tokens", raw: Array(String(limit.tokens).utf8)) }
        if (try? json.string("service_tier")) != "standard_only" { splice.set("service_tier", raw: Array(#""standard_only""#.utf8)) }
        if let budget = Thinking(of: json)?.budget, let thinking = try? json.object("thinking") {
            let fitting = Thinking.budget(budget, of: asked, at: limit.tokens)
            if fitting != budget {
                var changed = JSONSplice(thinking)
                changed.set("budget_tokens", raw: Array(String(fitting).utf8))
                splice.set("thinking", raw: changed.apply())
            }
        }
        return splice.apply()
    }

    // MARK: The answer

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), (try? json.string("type")) == "message", let content = json.raw("content"),
            json.member("content")?.kind == .array
        else { throw ProviderFailure(.wrongAnswer("with something else than a message")) }
        var (blocks, bytes) = (0, 0)
        content.withUnsafeBytes { content in
            JSONScan(content).forEachElement { block in
                blocks += 1
                bytes += AnthropicContent.bytes(of: block)
                return true
            }
        }
        var usage = json.raw("usage").flatMap { $0.withUnsafeBytes { AnthropicUsage(JSONScan($0)) } }
        if blocks == 0 { usage?.output = 0 }
        return WholeAnswer(json: json, reported: usage?.tokens, contentBytes: Int64(bytes))
    }

    func reader(_ context: AnswerContext) -> any EventReader { AnthropicEvents() }
}

extension PriceVersion {
    /// Returns whether each condition of the standard tier has a price of the unit from which a hold for
    /// it covers all of the prompt.
    fileprivate func bounds(_ unit: UsageUnit) -> Bool {
        let conditions = [units] + conditional.filter { $0.tier == .standard }.map(\.units)
        return conditions.allSatisfy { prices in
            guard let price = prices.listed[unit], let input = prices[.input] else { return false }
            return price >= input && (unit != .cacheWrite1h || price >= (prices[.cacheWrite] ?? input))
        }
    }
}
