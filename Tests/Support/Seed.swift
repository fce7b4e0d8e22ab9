import Glibc

/// Draws the seed of a random test and prints it with the test's file. `TEST_SEED` in the environment replays a run.
package func drawSeed(_ file: String = #fileID) -> UInt64 {
    let seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 1...1_000_000_000)
    print("\(file): TEST_SEED=\(seed)")
    return seed
}
