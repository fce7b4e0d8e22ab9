import JSON

/// The tools of a chat completion request as Anthropic takes them.
struct ChatOverMessagesTools {
    private struct Tool {
        var name: String
        var description: String?
        var parameters: [UInt8]
        var isStrict: Bool
    }

    private enum Choice {
        case auto, any, none
        case tool(String)
    }

    private let tools: [Tool]
    private let choice: Choice
    private let isParallel: Bool

    var isEmpty: Bool { tools.isEmpty }

    init(of request: JSONObject) throws(RequestFlaw) {
        do throws(JSONError) {
            isParallel = try request.optionalBool("parallel_tool_calls") ?? true
        } catch {
            throw RequestFlaw(param: "parallel_tool_calls", message: "parallel_tool_calls must be true or false.")
        }
        choice = try Self.choice(request)
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
        guard let object = value.object, (try? object.string("type")) == "function" else {
            throw RequestFlaw(param: "\(place).type", message: "\(place).type must be 'function' for this model.")
        }
        do throws(JSONError) {
            let function = try object.object("function")
            let parameters = function.has("parameters") ? try function.object("parameters").bytes : Array(#"{"type":"object"}"#.utf8)
            return Tool(
                name: try function.string("name"), description: try function.optionalString("description"), parameters: parameters,
                isStrict: try function.optionalBool("strict") ?? false)
        } catch {
            throw RequestFlaw(param: "\(place).function", message: "\(place).function is not valid: \(error).")
        }
    }

    private static func choice(_ request: JSONObject) throws(RequestFlaw) -> Choice {
        guard request.has("tool_choice") else { return .auto }
        if let word = try? request.string("tool_choice") {
            switch word {
            case "auto": return .auto
            case "required": return .any
            case "none": return .none
            default: break
            }
        }
        if let object = try? request.object("tool_choice"), (try? object.string("type")) == "function",
            let name = try? object.object("function").string("name")
        {
            return .tool(name)
        }
        throw RequestFlaw(
            param: "tool_choice", message: "tool_choice must be 'auto', 'required', 'none' or a function with a name for this model.")
    }

    /// Writes `tools` and `tool_choice`, if the request has tools.
    func write(to body: inout JSONWriter) {
        guard !isEmpty else { return }
        body.array("tools") { list in
            for tool in tools {
                list.object { json in
                    json.field("name", tool.name)
                    if let description = tool.description { json.field("description", description) }
                    json.field("input_schema", raw: tool.parameters)
                    if tool.isStrict { json.field("strict", true) }
                }
            }
        }
        body.object("tool_choice") { json in
            switch choice {
            case .auto: json.field("type", "auto")
            case .any: json.field("type", "any")
            case .none: json.field("type", "none")
            case .tool(let name):
                json.field("type", "tool")
                json.field("name", name)
            }
            if case .none = choice { return }
            if !isParallel { json.field("disable_parallel_tool_use", true) }
        }
    }
}
