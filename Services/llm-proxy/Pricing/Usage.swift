import Contracts

/// The quantity of each unit that a call used. A quantity is never negative.
struct Usage: Hashable, Sendable {
    // Most calls use input and output only, and a stream copies its usage with each event, so the
    // other units lie apart.
    private var input: Int64 = 0
    private var output: Int64 = 0
    /// Quantities above zero.
    private var others: [UsageUnit: Int64] = [:]
    /// True if the provider served the call in a tier that has prices of its own.
    var isOfAnotherTier = false

    static let none = Usage()

    init() {}

    init(promptTokens: Int64, completionTokens: Int64) {
        self[.input] = promptTokens
        self[.output] = completionTokens
    }

    subscript(unit: UsageUnit) -> Int64 {
        get {
            switch unit {
            case .input: input
            case .output: output
            default: others[unit] ?? 0
            }
        }
        set {
            let quantity = max(0, newValue)
            switch unit {
            case .input: input = quantity
            case .output: output = quantity
            default: others[unit] = quantity > 0 ? quantity : nil
            }
        }
    }

    var isEmpty: Bool { self == .none }

    /// The number of units with a quantity above zero.
    var unitCount: Int { (input > 0 ? 1 : 0) + (output > 0 ? 1 : 0) + others.count }

    /// The units with a quantity above zero, in the order of ``UsageUnit``.
    var quantities: some Sequence<(unit: UsageUnit, quantity: Int64)> {
        UsageUnit.allCases.lazy.map { (unit: $0, quantity: self[$0]) }.filter { $0.quantity > 0 }
    }

    /// All tokens of the prompt, cached ones included.
    var promptTokens: Int64 { sum(\.isPromptToken, from: input) }
    /// All tokens of the answer, hidden ones included.
    var completionTokens: Int64 { sum(\.isCompletionToken, from: output) }

    private func sum(_ isCounted: (UsageUnit) -> Bool, from first: Int64) -> Int64 {
        others.reduce(first) { sum, part in
            guard isCounted(part.key) else { return sum }
            let (total, overflow) = sum.addingReportingOverflow(part.value)
            return overflow ? .max : total
        }
    }

    /// The usage as a message carries it.
    var metered: UnitQuantities {
        var all = UnitQuantities()
        for (unit, quantity) in quantities { all[MeteredUnit(unit)] = quantity }
        return all
    }
}
