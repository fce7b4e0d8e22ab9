import JSON

/// The member `reasoning_effort` of a chat completion request as Anthropic takes it: a budget of
/// thoughts for models that have one, an effort for later models.
enum ReasoningEffort: String, CaseIterable {
    case none, minimal, low, medium, high, xhigh, max

    /// Nil for a request without the member.
    init?(of request: JSONObject) throws(RequestFlaw) {
        guard request.has("reasoning_effort") else { return nil }
        guard let word = try? request.string("reasoning_effort"), let effort = ReasoningEffort(rawValue: word) else {
            let choices = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw RequestFlaw(param: "reasoning_effort", message: "reasoning_effort must be one of \(choices).")
        }
        self = effort
    }

    /// The models of Anthropic that take a budget, by the beginnings of their names. Later models refuse
    /// one. A model of another server takes a budget, because servers learned it first.
    private static let withBudget = [
        "claude-3-7", "claude-4-", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2", "claude-opus-4-5", "claude-sonnet-4-0",
        "claude-sonnet-4-2", "claude-sonnet-4-5", "claude-haiku-4-5",
    ]

    /// - Parameter model: the name of the model at its provider.
    static func isBudget(of model: String) -> Bool { !model.hasPrefix("claude-") || withBudget.contains(where: model.hasPrefix) }

    /// The thoughts' share of an answer, in percent.
    private var percent: Int64 {
        switch self {
        case .none: 0
        case .minimal, .low: 20
        case .medium: 50
        case .high: 80
        case .xhigh, .max: 90
        }
    }

    /// Returns the budget of thoughts in an answer of at most `limit` tokens. At least as much as the
    /// least budget is left for the answer itself.
    func budget(at limit: Int64) -> Int64 {
        Swift.max(Thinking.budgetLeast, Swift.min(limit / 100 * percent, limit - Thinking.budgetLeast))
    }

    /// Anthropic's word for the effort.
    var word: String { self == .minimal ? "low" : rawValue }
}
