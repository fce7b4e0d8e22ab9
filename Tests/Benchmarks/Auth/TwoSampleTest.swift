import Foundation

/// Two tests of the question whether two samples come from the same distribution. If they do, both
/// values are close to a standard normal distribution, for samples of a hundred or more.
struct TwoSampleTest {
    /// The statistic of Mann and Whitney, standardised and corrected for ties. Positive if the first
    /// sample is larger.
    let z: Double
    /// The statistic of Welch. Positive if the first sample has the larger mean.
    let t: Double

    /// The bound that |z| exceeds in one of a hundred comparisons of equal distributions.
    static let onePercent = 2.576

    /// - Parameters: at least two values each.
    init(_ first: [Double], _ second: [Double]) {
        z = Self.mannWhitney(first, second)
        t = Self.welch(first, second)
    }

    /// The probability of a |z| of at least this size if the distributions are equal.
    var p: Double { erfc(abs(z) / 2.0.squareRoot()) }

    private static func mannWhitney(_ first: [Double], _ second: [Double]) -> Double {
        let values = (first.map { ($0, true) } + second.map { ($0, false) }).sorted { $0.0 < $1.0 }
        let (n, m) = (Double(first.count), Double(second.count))
        var rankSum = 0.0
        var ties = 0.0
        var index = 0
        while index < values.count {
            var end = index
            while end < values.count, values[end].0 == values[index].0 { end += 1 }
            // Equal values share the mean of their ranks.
            let rank = Double(index + 1 + end) / 2
            rankSum += rank * Double(values[index..<end].count(where: \.1))
            let tied = Double(end - index)
            ties += tied * tied * tied - tied
            index = end
        }
        let u = rankSum - n * (n + 1) / 2
        let variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
        return variance > 0 ? (u - n * m / 2) / variance.squareRoot() : 0
    }

    private static func welch(_ first: [Double], _ second: [Double]) -> Double {
        let error = first.variance / Double(first.count) + second.variance / Double(second.count)
        return error > 0 ? (first.mean - second.mean) / error.squareRoot() : 0
    }
}

extension [Double] {
    var mean: Double { reduce(0, +) / Double(count) }

    fileprivate var variance: Double {
        let mean = mean
        return reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)
    }
}
