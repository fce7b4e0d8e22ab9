import Contracts

/// The quantity of each unit that a call used. A quantity is never negative.
struct Usage: Hashable, Sendable {
    // Most calls use these units only, and a stream copies its usage with each event, so the other
    // units lie apart.
    private var input: Int64 = 0
    private var cachedInput: Int64 = 0
    private var cacheWrite: Int64 = 0
    private var output: Int64 = 0
    /// Quantities above zero.
    private(set) var others: [UsageUnit: Int64] = [:]
    /// The tier in which the provider served the call.
    var tier = ServiceTier.standard

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
            case .cachedInput: cachedInput
            case .cacheWrite: cacheWrite
            case .output: output
            default: others[unit] ?? 0
            }
        }
        set {
            let quantity = max(0, newValue)
            switch unit {
            case .input: input = quantity
            case .cachedInput: cachedInput = quantity
            case .cacheWrite: cacheWrite = quantity
            case .output: output = quantity
            default: others[unit] = quantity > 0 ? quantity : nil
            }
        }
    }

    /// True if the provider wrote a part of the prompt into its cache.
    var hasWrittenCache: Bool { cacheWrite > 0 || self[.cacheWrite1h] > 0 }
    var isEmpty: Bool { input == 0 && cachedInput == 0 && cacheWrite == 0 && output == 0 && others.isEmpty }

    /// Calls `body` with each unit that has a quantity above zero, until it returns false.
    /// - Returns: false if `body` returned false.
    @discardableResult
    func forEachUnit(_ body: (UsageUnit, Int64) -> Bool) -> Bool {
        (input == 0 || body(.input, input)) && (cachedInput == 0 || body(.cachedInput, cachedInput))
            && (cacheWrite == 0 || body(.cacheWrite, cacheWrite)) && (output == 0 || body(.output, output))
            && others.allSatisfy { body($0.key, $0.value) }
    }

    /// All tokens of the prompt, cached ones included.
    var promptTokens: Int64 {
        others.reduce(Self.sum(Self.sum(input, cachedInput), cacheWrite)) { $1.key.isPromptToken ? Self.sum($0, $1.value) : $0 }
    }

    /// All tokens of the answer, hidden ones included.
    var completionTokens: Int64 { others.reduce(output) { $1.key.isCompletionToken ? Self.sum($0, $1.value) : $0 } }

    private static func sum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// Moves at most `tokens` from one unit to another.
    mutating func move(_ tokens: Int64?, from unit: UsageUnit, to other: UsageUnit) {
        guard let tokens, tokens > 0 else { return }
        let moved = min(tokens, self[unit])
        self[other] += moved
        self[unit] -= moved
    }

    /// The usage as a message carries it. The units of another tier have its name as their condition:
    /// `input:flex`.
    var metered: UnitQuantities {
        var all = UnitQuantities()
        forEachUnit { unit, quantity in
            let name = tier == .standard ? MeteredUnit(unit) : MeteredUnit(rawValue: "\(unit.rawValue):\(tier.rawValue)")
            if let name { all[name] = quantity }
            return true
        }
        return all
    }
}
