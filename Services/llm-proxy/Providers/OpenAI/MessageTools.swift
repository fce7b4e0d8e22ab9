import JSON

/// The tools of a Messages request as OpenAI takes them.
struct MessageTools {
    private struct Tool {
        var name: String
        var description: String?
        var schema: [UInt8]
        var isStrict: Bool
    }

    private let tools: [Tool]
    /// The value of `tool_choice`. Nil: the model decides.
    private let choice: [UInt8]?
    private let isParallel: Bool

    /// The members of a tool that have no meaning elsewhere, or mean nothing with these values.
    private static let unread: Set<String> = ["cache_control", "eager_input_streaming"]

    init(of request: JSONObject) throws(RequestFlaw) {
        (choice, isParallel) = try Self.choice(request)
        guard request.has("tools") else {
            tools = []
            return
        }
        guard let values = try? request.array("tools") else {
            throw RequestFlaw(param: "tools", message: "tools must be an array of objects without repeated members.")
        }
        var tools: [Tool] = []
        for (index, value) in values.enumerated() { tools.append(try Self.tool(value, "tools[\(index)]")) }
        self.tools = tools
    }

    private static func tool(_ value: JSONValue, _ place: String) throws(RequestFlaw) -> Tool {
        guard let tool = value.object, !tool.has("type") || (try? tool.string("type")) == "custom" else {
            throw RequestFlaw(param: "\(place).type", message: "\(place).type must be 'custom' for this model.")
        }
        for member in tool.members where member.kind != .null {
            switch member.name {
            case "type", "name", "description", "input_schema", "strict": continue
            case "defer_loading" where member.kind == .false: continue
            case "allowed_callers" where (try? tool.array("allowed_callers").map(\.string)) == ["direct"]: continue
            case let name where unread.contains(name): continue
            case let name:
                throw RequestFlaw(param: "\(place).\(name)", message: "\(place).\(name) is not supported by this model; remove it.")
            }
        }
        do throws(JSONError) {
            return Tool(
                name: try tool.string("name"), description: try tool.optionalString("description"),
                schema: try tool.object("input_schema").bytes, isStrict: try tool.optionalBool("strict") ?? false)
        } catch {
            throw RequestFlaw(param: place, message: "\(place) is not valid: \(error).")
        }
    }

    private static func choice(_ request: JSONObject) throws(RequestFlaw) -> (choice: [UInt8]?, isParallel: Bool) {
        guard request.has("tool_choice") else { return (nil, true) }
        if let choice = try? request.object("tool_choice"), let isSingle = try? choice.optionalBool("disable_parallel_tool_use") ?? false {
            switch try? choice.string("type") {
            case "auto": return (nil, !isSingle)
            case "any": return (Array(#""required""#.utf8), !isSingle)
            case "none": return (Array(#""none""#.utf8), true)
            case "tool":
                guard let name = try? choice.string("name") else { break }
                let function = JSONWriter.object { json in
                    json.field("type", "function")
                    json.object("function") { $0.field("name", name) }
                }
                return (function, !isSingle)
            default: break
            }
        }
        throw RequestFlaw(
            param: "tool_choice", message: "tool_choice must be an object with the type 'auto', 'any' or 'none', or 'tool' with a name.")
    }

    /// Writes `tools` and what belongs to them, if the request has tools.
    func write(to body: inout JSONWriter) {
        guard !tools.isEmpty else { return }
        body.array("tools") { list in
            for tool in tools {
                list.object { json in
                    json.field("type", "function")
                    json.object("function") { function in
                        function.field("name", tool.name)
                        if let description = tool.description { function.field("description", description) }
                        function.field("parameters", raw: tool.schema)
                        if tool.isStrict { function.field("strict", true) }
                    }
                }
            }
        }
        if let choice { body.field("tool_choice", raw: choice) }
        if !isParallel { body.field("parallel_tool_calls", false) }
    }
}
