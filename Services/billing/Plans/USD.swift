/// An amount of US dollars, exact.
struct USD: Hashable, Sendable {
    let cents: Int64

    /// With 2 fraction digits: `9.00`.
    var text: String {
        let digits = String(cents.magnitude)
        let padded = String(repeating: "0", count: max(0, 3 - digits.utf8.count)) + digits
        return (cents < 0 ? "-" : "") + padded.dropLast(2) + "." + padded.suffix(2)
    }
}
