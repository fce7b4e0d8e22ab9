import Values

/// The source of everything random in a soak, from its seed (SplitMix64).
struct Dice: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Splits off dice for one part. Their numbers do not depend on what the other parts draw.
    mutating func split() -> Dice { Dice(next()) }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func milliseconds(_ range: ClosedRange<Int>) -> Duration { .milliseconds(Int.random(in: range, using: &self)) }

    /// Draws an amount with nine decimals.
    mutating func credits(_ range: ClosedRange<Double>) -> Credits {
        Credits(nano: Int64(Double.random(in: range, using: &self) * 1e9) + 1)
    }

    mutating func share(of amount: Credits, percent: ClosedRange<Int>) -> Credits {
        Credits(nano: amount.nano / 100 * Int64(Int.random(in: percent, using: &self)))
    }

    mutating func pick<Choice>(_ weighted: [(weight: Int, Choice)]) -> Choice {
        var point = Int.random(in: 0..<weighted.reduce(0) { $0 + $1.weight }, using: &self)
        for (weight, choice) in weighted {
            if point < weight { return choice }
            point -= weight
        }
        preconditionFailure("a point beyond all weights")
    }

    /// Draws the times at which the copies of a durable message are sent. Most messages have one
    /// copy, sent at once.
    mutating func copies() -> [Duration] {
        let count = pick([(70, 1), (20, 2), (10, 3)])
        return (0..<count).map { $0 == 0 ? (chance(70) ? .zero : milliseconds(0...2_000)) : milliseconds(0...8_000) }
    }
}
