import Contracts
import JSON
import Values

/// The usage of one message in tokens. Cached and cache-writing input are counted apart from the
/// rest of the input.
struct AnthropicUsage: Hashable, Sendable {
    var input: Int64 = 0
    /// All tokens written to the cache.
    var cacheWrite: Int64 = 0
    /// The tokens written for an hour, at most ``cacheWrite``.
    var cacheWrite1h: Int64 = 0
    var cacheRead: Int64 = 0
    var output: Int64 = 0
    /// The calls of tools that the provider ran itself. No request asks for one.
    var serverTools: Int64 = 0
    /// The tier in which the provider served the call.
    var tier = ServiceTier.standard

    init() {}

    init?(_ usage: JSONScan) {
        update(usage)
        guard usage.isObject else { return nil }
    }

    /// Takes the counts that are present. A count that no call can have is not believed.
    /// - Returns: true if there is a count of output.
    @discardableResult
    mutating func update(_ usage: JSONScan) -> Bool {
        func count(_ name: StaticString, in usage: JSONScan) -> Int64? {
            usage[name]?.integer.flatMap { (0...Usage.reportedMax).contains($0) ? $0 : nil }
        }
        input = count("input_tokens", in: usage) ?? input
        cacheWrite = count("cache_creation_input_tokens", in: usage) ?? cacheWrite
        cacheWrite1h = usage["cache_creation"].flatMap { count("ephemeral_1h_input_tokens", in: $0) } ?? cacheWrite1h
        cacheRead = count("cache_read_input_tokens", in: usage) ?? cacheRead
        usage["server_tool_use"]?.forEachMember { _, value in
            serverTools = max(serverTools, value.integer ?? 0)
            return true
        }
        tier = usage["service_tier"]?.string.flatMap(ServiceTier.service) ?? tier
        let counted = count("output_tokens", in: usage)
        output = counted ?? output
        return counted != nil
    }

    var tokens: Usage {
        var usage = Usage(promptTokens: input, completionTokens: output)
        usage[.cachedInput] = cacheRead
        usage[.cacheWrite] = cacheWrite
        usage.move(cacheWrite1h, from: .cacheWrite, to: .cacheWrite1h)
        usage[.request] = serverTools
        usage.tier = tier
        return usage
    }

    /// Writes the members of OpenAI's usage object.
    func write(to json: inout JSONWriter) {
        json.field("prompt_tokens", tokens.promptTokens)
        json.field("completion_tokens", output)
        json.field("total_tokens", tokens.promptTokens + output)
        json.object("prompt_tokens_details") { $0.field("cached_tokens", cacheRead) }
    }
}
