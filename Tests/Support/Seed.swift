import Glibc

/// Draws the seed of a random test and prints it with the test's file. `TEST_SEED` in the
/// environment replays a run.
package func drawSeed(_ file: String = #fileID) -> UInt64 {
    let seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 1...1_000_000_000)
    print("\(file): TEST_SEED=\(seed)")
    return seed
}

/// Sebastiano Vigna's SplitMix64: the same for a seed everywhere, and good enough to choose test
/// cases.
package struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
