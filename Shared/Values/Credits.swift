/// An amount of credits, exact: 64-bit nano-credits (1 credit = 1,000,000,000). The range is about ±9.2 billion credits.
///
/// Addition and subtraction trap on overflow. The services refuse amounts from outside above limits of their own (the ledger's
/// `amountMax` and `balanceMax`), far below the range.
package struct Credits: Hashable, Comparable, Sendable, AdditiveArithmetic {
    package let nano: Int64

    package init(nano: Int64) { self.nano = nano }
    package init(whole: Int64) { nano = whole * Self.nanoPerCredit }

    package static let nanoPerCredit: Int64 = 1_000_000_000
    package static let zero = Credits(nano: 0)

    package static func + (left: Self, right: Self) -> Self { Credits(nano: left.nano + right.nano) }
    package static func - (left: Self, right: Self) -> Self { Credits(nano: left.nano - right.nano) }
    package static prefix func - (amount: Self) -> Self { Credits(nano: -amount.nano) }
    package static func < (left: Self, right: Self) -> Bool { left.nano < right.nano }
}

extension Credits: CustomStringConvertible {
    /// Reads a JSON number's text, `-12.000000345`: at most 9 fraction digits, no exponent, within range.
    package init?(decimal text: some StringProtocol) {
        var digits = Substring(text)[...]
        let isNegative = digits.first == "-"
        if isNegative { digits.removeFirst() }
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let wholeText = parts.first, Self.isDigits(wholeText), let whole = Int64(wholeText) else { return nil }
        var fraction: Int64 = 0
        if parts.count == 2 {
            guard Self.isDigits(parts[1]), parts[1].count <= 9, let value = Int64(parts[1]) else { return nil }
            fraction = value
            for _ in parts[1].count..<9 { fraction *= 10 }
        }
        let (scaled, overflowed) = whole.multipliedReportingOverflow(by: Self.nanoPerCredit)
        let (nano, overflowedAgain) = scaled.addingReportingOverflow(fraction)
        guard !overflowed, !overflowedAgain else { return nil }
        self.init(nano: isNegative ? -nano : nano)
    }

    /// A JSON number without trailing zeros: `2.875`, `10`, `-0.000000001`.
    package var description: String {
        // A sign, ten digits, a point and nine digits, written from the last one to the first.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 21) { text in
            var (rest, fractionDigits, start) = (nano.magnitude, 9, text.count)
            while fractionDigits > 0, rest.isMultiple(of: 10) { (rest, fractionDigits) = (rest / 10, fractionDigits - 1) }
            func write(_ byte: UInt8) {
                start -= 1
                text[start] = byte
            }
            for _ in 0..<fractionDigits {
                write(UInt8(ascii: "0") + UInt8(rest % 10))
                rest /= 10
            }
            if fractionDigits > 0 { write(UInt8(ascii: ".")) }
            repeat {
                write(UInt8(ascii: "0") + UInt8(rest % 10))
                rest /= 10
            } while rest > 0
            if nano < 0 { write(UInt8(ascii: "-")) }
            return String(decoding: UnsafeBufferPointer(rebasing: text[start...]), as: UTF8.self)
        }
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) }
    }
}
