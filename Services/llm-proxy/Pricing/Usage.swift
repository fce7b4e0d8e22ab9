import Contracts

/// The quantity of each unit that a call used. A quantity is never negative.
struct Usage: Hashable, Sendable {
    // One lane for each unit: a value without an allocation, because a stream prices its usage often.
    private var lanes = SIMD16<Int64>()

    static let none = Usage()

    init() {}

    init(promptTokens: Int64, completionTokens: Int64) {
        self[.input] = promptTokens
        self[.output] = completionTokens
    }

    subscript(unit: UsageUnit) -> Int64 {
        get { lanes[unit.lane] }
        set { lanes[unit.lane] = max(0, newValue) }
    }

    var isEmpty: Bool { lanes == .zero }

    /// The units with a quantity above zero.
    var quantities: some Sequence<(unit: UsageUnit, quantity: Int64)> {
        UsageUnit.allCases.lazy.map { (unit: $0, quantity: self[$0]) }.filter { $0.quantity > 0 }
    }

    /// All tokens of the prompt, cached ones included.
    var promptTokens: Int64 { sum(\.isPromptToken) }
    /// All tokens of the answer, hidden ones included.
    var completionTokens: Int64 { sum(\.isCompletionToken) }

    private func sum(_ isCounted: (UsageUnit) -> Bool) -> Int64 {
        quantities.reduce(0) { sum, part in
            guard isCounted(part.unit) else { return sum }
            let (total, overflow) = sum.addingReportingOverflow(part.quantity)
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

extension UsageUnit {
    fileprivate var lane: Int {
        switch self {
        case .input: 0
        case .cachedInput: 1
        case .cacheWrite: 2
        case .output: 3
        case .reasoning: 4
        case .audioInput: 5
        case .audioOutput: 6
        case .image: 7
        case .videoSecond: 8
        case .audio30s: 9
        case .character: 10
        case .request: 11
        }
    }
}
