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
    private static let shownUnitsPerCredit: UInt64 = 10_000

    private static func short(_ amount: Credits) -> String {
        let units = amount.nano.quotient(flooredBy: nanoPerShownUnit)
        let (whole, rest) = units.magnitude.quotientAndRemainder(dividingBy: shownUnitsPerCredit)
        return (units < 0 ? "\u{2212}" : "") + grouped(String(whole)) + fraction(rest)
    }

    /// Two to four digits; none for a whole amount.
    private static func fraction(_ units: UInt64) -> String {
        guard units > 0 else { return "" }
        var digits = String(shownUnitsPerCredit + units).dropFirst()
        while digits.count > 2, digits.last == "0" { digits.removeLast() }
        return "." + digits
    }

    private static func grouped(_ digits: String) -> String {
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text.append(",") }
            text.append(digit)
        }
        return text
    }
}
