import JSON

/// The members of a surface's requests that change the price. None has a price here yet, so each is
/// refused, except with the value that changes nothing.
struct PricedMembers: Sendable {
    enum Rule: Sendable {
        case absent
        case onlyFalse
        case only(String)
        /// An object with a mode of the prompt cache, and the usual time to keep it.
        case cacheOptions
        /// The name of another surface for a limit. A server that knows both names may read this one.
        case renamed(String)
    }

    typealias Row = (name: StaticString, rule: Rule)

    /// The members that servers may know on every surface.
    private static let common: [Row] = [
        ("service_tier", .only("default")), ("store", .onlyFalse), ("background", .onlyFalse), ("audio", .absent), ("prediction", .absent),
        ("web_search_options", .absent), ("previous_response_id", .absent), ("conversation", .absent), ("container", .absent),
        // Members of other servers than OpenAI: hosted search, fallback models, and candidates that are billed and not shown.
        ("plugins", .absent), ("models", .absent), ("provider", .absent), ("route", .absent), ("search_parameters", .absent),
        ("enable_search", .onlyFalse), ("best_of", .absent), ("use_beam_search", .onlyFalse), ("mcp_servers", .absent),
        ("data_sources", .absent), ("fallbacks", .absent), ("safety_model", .absent), ("preset", .absent),
        ("deferred", .onlyFalse),
        // Writing a prompt cache has a price of its own; the others add tokens to the prompt, the answer or a picture.
        ("cache_control", .absent), ("prompt_logprobs", .absent), ("mm_processor_kwargs", .absent), ("chat_template", .absent),
        // Google's own members, such as a cached prompt.
        ("extra_body", .absent), ("prompt_cache_options", .cacheOptions),
    ]

    static let chat = PricedMembers([])

    /// The members whose names may not be written in another letter case.
    let names: [StaticString]
    private let ruleByName: [String: Rule]

    /// - Parameters:
    ///   - own: the members of one surface only.
    ///   - free: the members that change no price on this surface.
    init(_ own: [Row], free: Set<String> = []) {
        let rules = Self.common.filter { !free.contains($0.name.description) } + own
        names = rules.map(\.name) + ["modalities", "tools"]
        ruleByName = Dictionary(rules.map { ($0.name.description, $0.rule) }) { _, own in own }
    }

    func flaw(in request: JSONObject) -> RequestFlaw? {
        for member in request.members where member.kind != .null {
            if let rule = ruleByName[member.name], !Self.allows(rule, member, request) {
                return RequestFlaw(param: member.name, message: Self.message(member.name, rule))
            }
        }
        return Self.modalityFlaw(request) ?? Self.toolFlaw(request)
    }

    private static func allows(_ rule: Rule, _ member: JSONObject.Member, _ request: JSONObject) -> Bool {
        switch rule {
        case .absent, .renamed: false
        case .onlyFalse: request.bytes[member.valueRange].elementsEqual("false".utf8)
        case .only(let value): (try? request.string(member.name)) == value
        case .cacheOptions: (try? request.object(member.name)).map(hasUsualTime) ?? false
        }
    }

    /// Returns true if a prompt is kept in the cache as long as its price is for.
    private static func hasUsualTime(_ options: JSONObject) -> Bool {
        options.members.allSatisfy { $0.name == "mode" || $0.name == "ttl" && (try? options.string("ttl")) == "30m" }
    }

    private static func message(_ name: String, _ rule: Rule) -> String {
        switch rule {
        case .absent: "\(name) has no price here; remove it."
        case .renamed(let other): "\(name) is not the limit of this surface; send \(other)."
        case .onlyFalse: "\(name) must be false; anything else has no price here."
        case .only(let value): "\(name) must be '\(value)'; anything else has no price here."
        case .cacheOptions: "\(name) may have mode and a ttl of '30m'; anything else has no price here."
        }
    }

    private static func modalityFlaw(_ request: JSONObject) -> RequestFlaw? {
        guard request.has("modalities") else { return nil }
        let modalities = (try? request.array("modalities"))?.map(\.string)
        guard modalities != ["text"] else { return nil }
        return RequestFlaw(param: "modalities", message: "modalities must be [\"text\"]; anything else has no price here.")
    }

    /// Hosted tools run at the provider and cost extra. Functions run at the client.
    private static func toolFlaw(_ request: JSONObject) -> RequestFlaw? {
        guard let tools = request.raw("tools"), request.has("tools") else { return nil }
        var (flaw, index): (RequestFlaw?, Int) = (nil, 0)
        tools.withUnsafeBytes { bytes in
            JSONScan(bytes).forEachElement { tool in
                // Every value of a repeated member is read, because providers differ in which one they use.
                var types: [String?] = []
                tool.forEachMember { name, value in
                    if Spelling(of: name, as: "type") != .different { types.append(value.string) }
                    flaw = flaw ?? cacheFlaw(name, value, in: "tools[\(index)]")
                    guard Spelling(of: name, as: "function") != .different else { return flaw == nil }
                    value.forEachMember { name, value in
                        flaw = flaw ?? cacheFlaw(name, value, in: "tools[\(index)].function")
                        return flaw == nil
                    }
                    return flaw == nil
                }
                if flaw == nil, types.isEmpty || !types.allSatisfy({ $0 == "function" || $0 == "custom" }) {
                    let place = "tools[\(index)].type"
                    flaw = RequestFlaw(
                        param: place, message: "\(place) must be 'function' or 'custom'; other tools have no price here.")
                }
                index += 1
                return flaw == nil
            }
        }
        return flaw
    }

    /// Returns the flaw of a place in the prompt up to which the provider is asked to write its cache.
    static func cacheTimeFlaw(_ breakpoint: JSONScan?, in place: @autoclosure () -> String) -> RequestFlaw? {
        guard let breakpoint, (try? JSONObject(Array(breakpoint.bytes))).map(hasUsualTime) != true else { return nil }
        let param = place() + ".prompt_cache_breakpoint"
        return RequestFlaw(param: param, message: message(param, .cacheOptions))
    }

    /// Returns the flaw of a member that asks the provider to write a part of the prompt into its
    /// cache. Messages, their parts and tools can have it.
    static func cacheFlaw(_ name: UnsafeRawBufferPointer, _ value: JSONScan, in place: @autoclosure () -> String) -> RequestFlaw? {
        guard Spelling(of: name, as: "cache_control") != .different, !value.isNull else { return nil }
        let param = place() + ".cache_control"
        return RequestFlaw(param: param, message: message(param, .absent))
    }
}
