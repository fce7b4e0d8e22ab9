import Testing

@testable import Bench

struct TwoSampleTestTests {
    private static func isClose(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) < 0.000_5 }

    // Reference values: SciPy 1.17, mannwhitneyu with method="asymptotic" and no correction for continuity, and ttest_ind with
    // equal_var=False.
    @Test(
        arguments: [
            ([1, 2, 3], [4, 5, 6], -1.9640, -3.6742),
            ([4, 5, 6], [1, 2, 3], 1.9640, 3.6742),
            ([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], -1.5763, -1.8974),
            ([1, 1, 2, 2], [1, 2, 2, 2], -0.6831, -0.6547),
        ] as [([Double], [Double], Double, Double)])
    func `both statistics have the values of another implementation`(first: [Double], second: [Double], z: Double, t: Double) {
        let test = TwoSampleTest(first, second)
        #expect(Self.isClose(test.z, z), "\(test.z)")
        #expect(Self.isClose(test.t, t), "\(test.t)")
    }

    @Test func `equal samples do not differ`() {
        let test = TwoSampleTest([3, 3, 3], [3, 3, 3])
        #expect(test.z == 0 && test.t == 0 && test.p == 1)
    }

    @Test func `the probability of a difference is that of the normal distribution`() {
        let values = (1...300).map(Double.init)
        let test = TwoSampleTest(values, values.map { $0 + 18 })
        #expect(Self.isClose(test.z, -2.4672) && Self.isClose(test.p, 0.0136))
        #expect(abs(test.z) < TwoSampleTest.onePercent)
    }
}
