import HTTPWire

/// The betas of Anthropic's API that cost nothing, or what has a price here. Others are left out of a
/// request without an error, because Claude Code names many.
enum AnthropicBetas {
    static let field: StaticString = "anthropic-beta"

    private static let free: Set<Substring> = [
        "cache-diagnosis-2026-04-07", "claude-code-20250219", "context-management-2025-06-27", "effort-2025-11-24",
        "extended-cache-ttl-2025-04-11", "fine-grained-tool-streaming-2025-05-14", "interleaved-thinking-2025-05-14",
        "mid-conversation-system-2026-04-07", "model-context-window-exceeded-2025-08-26", "output-128k-2025-02-19",
        "output-300k-2026-03-24", "prompt-caching-2024-07-31", "prompt-caching-scope-2026-01-05", "structured-outputs-2025-11-13",
        "structured-outputs-2025-12-15", "thinking-token-count-2026-05-13", "token-efficient-tools-2025-02-19",
    ]
    private static let longContext: Substring = "context-1m-2025-08-07"
    /// The size above which a long context has prices of its own.
    private static let longContextAbove: Int64 = 200_000

    static func headers(of request: ModelRequest, for model: Catalogue.Model) -> HeaderBlock {
        let asked = request.headers.strings(for: field).joined(separator: ",").split { $0 == "," || $0 == " " }
        let passed = asked.filter { free.contains($0) || $0 == longContext && sellsLongContext(model) }
        guard !passed.isEmpty else { return [:] }
        var headers = HeaderBlock()
        headers.add(field, passed.joined(separator: ","))
        return headers
    }

    private static func sellsLongContext(_ model: Catalogue.Model) -> Bool {
        model.limits.contextTokens > longContextAbove
            && model.price.conditional.contains { $0.tier == .standard && $0.aboveInputTokens == longContextAbove }
    }
}
