import JSON

/// The members of a Messages request. A member that is not listed could have a price, so it is refused.
enum MessageMembers {
    private enum Rule: Sendable {
        case free
        case only([String])
    }

    private static let rules: [(name: StaticString, rule: Rule)] = [
        ("model", .free), ("messages", .free), ("max_tokens", .free), ("stream", .free), ("system", .free), ("temperature", .free),
        ("top_p", .free), ("top_k", .free), ("stop_sequences", .free), ("tools", .free), ("tool_choice", .free), ("thinking", .free),
        ("metadata", .free), ("output_config", .free), ("output_format", .free), ("cache_control", .free), ("diagnostics", .free),
        ("context_management", .free), ("service_tier", .only(["standard_only", "auto"])), ("speed", .only(["standard"])),
        ("inference_geo", .only(["global"])),
    ]

    private static let ruleByName = Dictionary(uniqueKeysWithValues: rules.map { ($0.name.description, $0.rule) })

    /// The members whose names may not be written in another letter case.
    static let names = rules.map(\.name)

    static func flaw(in request: JSONObject) -> RequestFlaw? {
        for member in request.members where member.kind != .null {
            switch ruleByName[member.name] {
            case .free?: continue
            case .only(let values)?:
                if let value = try? request.string(member.name), values.contains(value) { continue }
                let choices = values.map { "'\($0)'" }.joined(separator: " or ")
                return RequestFlaw(param: member.name, message: "\(member.name) must be \(choices); anything else has no price here.")
            case nil: return RequestFlaw(param: member.name, message: "\(member.name) has no price here; remove it.")
            }
        }
        return Thinking.flaw(in: request) ?? contextFlaw(in: request)
    }

    /// Clearing a part of the prompt costs nothing. A summary is an answer of its own that costs.
    private static func contextFlaw(in request: JSONObject) -> RequestFlaw? {
        guard request.has("context_management") else { return nil }
        let edits = contextEdits(of: request) ?? [""]
        guard edits.allSatisfy({ $0.hasPrefix("clear_tool_uses_") || $0.hasPrefix("clear_thinking_") }) else {
            return RequestFlaw(
                param: "context_management",
                message: "context_management may have edits that clear tool uses or thinking; other edits have no price here.")
        }
        return nil
    }

    /// Returns the types of the edits in `context_management`. Nil if they cannot be read.
    static func contextEdits(of request: JSONObject) -> [String]? {
        guard let context = try? request.object("context_management"), context.members.allSatisfy({ $0.name == "edits" }),
            let edits = try? context.optionalArray("edits") ?? []
        else { return nil }
        return edits.map { (try? $0.object?.string("type")) ?? "" }
    }
}

/// The member `thinking` of a Messages request that asks for thoughts.
struct Thinking {
    /// The most tokens of thoughts. Nil: the model decides.
    var budget: Int64?

    /// The least budget that Anthropic takes.
    static let budgetLeast: Int64 = 1_024
    /// The shortest limit of an answer with a budget. Half of it is left for the answer itself.
    static let outputLeast = 2 * budgetLeast

    /// Nil for a request without thoughts.
    init?(of request: JSONObject) {
        guard let thinking = (try? request.optionalObject("thinking")) ?? nil, let type = try? thinking.string("type"), type != "disabled"
        else { return nil }
        budget = type == "enabled" ? (try? thinking.optionalInteger("budget_tokens")) ?? nil : nil
    }

    static func flaw(in request: JSONObject) -> RequestFlaw? {
        guard request.has("thinking") else { return nil }
        do throws(JSONError) {
            let thinking = try request.object("thinking")
            for name: StaticString in ["type", "budget_tokens"] {
                do throws(RequestFlaw) { try MemberNames.check(thinking, [name], at: "thinking.") } catch { return error }
            }
            _ = try thinking.string("type")
            _ = try thinking.optionalInteger("budget_tokens")
            return nil
        } catch {
            return RequestFlaw(param: "thinking", message: "thinking must be an object with a type: \(error).")
        }
    }

    /// Returns the budget for an answer that got a lower limit than its request has: the same share of
    /// it, at least ``budgetLeast``.
    static func budget(_ budget: Int64, of asked: Int64, at limit: Int64) -> Int64 {
        guard limit < asked, asked > 0 else { return budget }
        let (product, overflow) = budget.multipliedReportingOverflow(by: limit)
        return max(min(budget, budgetLeast), overflow ? limit / 2 : product / asked)
    }
}
