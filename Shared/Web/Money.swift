import Text
package import Values

/// Amounts as people read them.
extension Viewer {
    /// An amount with its unit and at most four fraction digits, rounded down: `1,182.47 credits`. The
    /// exact amount stands in `title`.
    package func credits(_ amount: Credits) -> HTML {
        span(.class("amount"), .title("\(amount.description) \(unit)")) { "\(Self.short(amount)) \(unit)" }
    }

    private var unit: String { language(en: "credits", th: "เครดิต") }

    private static let nanoPerShownUnit: Int64 = 100_000

    private static func short(_ amount: Credits) -> String {
        let exact = Credits(nano: amount.nano.quotient(flooredBy: nanoPerShownUnit) * nanoPerShownUnit).description
        let isNegative = exact.hasPrefix("-")
        let parts = exact.drop { $0 == "-" }.split(separator: ".", maxSplits: 1)
        let fraction = parts.count == 2 ? "." + parts[1] + (parts[1].count == 1 ? "0" : "") : ""
        return (isNegative ? "\u{2212}" : "") + grouped(parts[0]) + fraction
    }

    private static func grouped(_ digits: Substring) -> String {
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text.append(",") }
            text.append(digit)
        }
        return text
    }
}
