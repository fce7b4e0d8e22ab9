/// An amount of US dollars, exact.
struct USD: Hashable, Sendable {
    let cents: Int64

    init(cents: Int64) { self.cents = cents }

    /// Reads a number of dollars with at most 2 fraction digits, without a sign and an exponent.
    init?(decimal text: String) {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count == 1 ? "00" : parts[1] + (parts[1].utf8.count == 1 ? "0" : "")
        let digits = parts[0] + fraction
        guard !parts[0].isEmpty, fraction.utf8.count == 2, digits.utf8.allSatisfy({ (48...57).contains($0) }), let cents = Int64(digits)
        else {
            return nil
        }
        self.cents = cents
    }

    /// With 2 fraction digits: `9.00`.
    var text: String {
        let digits = String(cents.magnitude)
        let padded = String(repeating: "0", count: max(0, 3 - digits.utf8.count)) + digits
        return (cents < 0 ? "-" : "") + padded.dropLast(2) + "." + padded.suffix(2)
    }
}
