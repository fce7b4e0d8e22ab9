import JSON

/// The tools of a Messages request. Tools that the client runs add tokens to the prompt. Tools that
/// the provider runs cost extra, so they are refused.
enum AnthropicTools {
    /// The tools that Anthropic defines and the client runs, without the date of their version. A screen
    /// or a browser is not among them, because its tool needs a beta.
    private static let clientTools = ["bash_20", "text_editor_20", "memory_20"]
    /// More than Anthropic adds to a prompt with tools, or for one tool that it defines.
    static let addedTokens: Int64 = 1_024

    static func flaw(in request: JSONObject) -> RequestFlaw? {
        guard request.has("tools") else { return nil }
        guard request.member("tools")?.kind == .array else { return RequestFlaw(param: "tools", message: "tools must be an array.") }
        var (flaw, index): (RequestFlaw?, Int) = (nil, 0)
        forEachTool(of: request) { types in
            if types.count > 1 || !types.allSatisfy({ isCustom($0) || isClientTool($0) }) {
                let place = "tools[\(index)].type"
                flaw = RequestFlaw(
                    param: place,
                    message: "\(place) must be 'custom', or a version of bash, text_editor or memory; other tools have no price here.")
            }
            index += 1
            return flaw == nil
        }
        return flaw
    }

    static func addedPromptTokens(to request: JSONObject) -> Int64 {
        var tokens: Int64 = 0
        forEachTool(of: request) { types in
            tokens = max(tokens, addedTokens)
            if types.contains(where: isClientTool) { tokens += addedTokens }
            return true
        }
        let config = (try? request.optionalObject("output_config")) ?? nil
        if request.has("output_format") || config?.has("format") == true { tokens += addedTokens }
        return tokens
    }

    /// Calls `body` with the types of each tool: all values of a repeated member, none if it has no type.
    private static func forEachTool(of request: JSONObject, _ body: ([String]) -> Bool) {
        request.raw("tools")?.withUnsafeBytes { bytes in
            JSONScan(bytes).forEachElement { tool in
                var types: [String] = []
                tool.forEachMember { name, value in
                    if Spelling(of: name, as: "type") != .different, !value.isNull { types.append(value.string ?? "") }
                    return true
                }
                return body(types)
            }
        }
    }

    static func isCustom(_ type: String) -> Bool { type == "custom" }
    private static func isClientTool(_ type: String) -> Bool { clientTools.contains(where: type.hasPrefix) }
}
