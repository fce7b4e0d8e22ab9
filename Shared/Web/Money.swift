import Text
package import Values

/// Amounts as people read them.
extension Viewer {
    /// An amount with its unit and at most four fraction digits, rounded down: `1,182.47 credits`. The
    /// exact amount stands in `title`.
    package func credits(_ amount: Credits) -> HTML { shown(amount.description, text(amount)) }

    /// An amount in a column whose head names the unit. The exact amount stands in `title`.
    package func figure(_ amount: Credits) -> HTML { shown(amount.description, Self.short(amount)) }

    /// A price in such a column, with all its digits.
    package func price(_ amount: Credits) -> HTML {
        let exact = amount.description
        let whole = exact.prefix { $0 != "." }
        return shown(exact, Self.grouped(String(whole)) + exact.dropFirst(whole.count))
    }

    /// A change of a balance in such a column. Credits that arrive have a plus sign.
    package func change(_ amount: Credits) -> HTML {
        guard amount > .zero else { return figure(amount) }
        return shown("+\(amount.description)", "+\(Self.short(amount))", .class("amount arrived"))
    }

    /// An amount of a column, as decimal text. A sum over all accounts may exceed the range of ``Credits``: it is shown in whole credits.
    package func figure(decimal text: String) -> HTML { shown(text, Self.short(decimal: text)) }

    /// The same with its unit.
    package func credits(decimal text: String) -> HTML { shown(text, self.text(decimal: text)) }

    /// The same as plain text.
    package func text(decimal text: String) -> String { "\(Self.short(decimal: text)) \(unit(text))" }

    /// An amount with its unit, as plain text.
    package func text(_ amount: Credits) -> String { "\(Self.short(amount)) \(unit(of: amount))" }

    /// An amount without its unit, as plain text.
    package func bare(_ amount: Credits) -> String { Self.short(amount) }

    /// The unit next to an amount.
    package func unit(of amount: Credits) -> String { unit(amount.description) }

    private func unit(_ exact: String) -> String { language(en: ["1", "+1"].contains(exact) ? "credit" : "credits", th: "เครดิต") }

    private func shown(_ exact: String, _ text: String, _ style: Attribute = .class("amount")) -> HTML {
        span(style, .title("\(exact) \(unit(exact))")) { text }
    }

    /// A number of things: `4,182`.
    package func number(_ count: Int64) -> String { (count < 0 ? "\u{2212}" : "") + Self.grouped(String(count.magnitude)) }

    /// An amount of US dollars as a price: `$29`, `$1,029.50`.
    package func price(cents: Int64) -> String {
        let text = money(cents: cents)
        return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
    }

    /// An amount of money, with two fraction digits: `$29.00`, `29.00 EUR`.
    /// - Parameter currency: an ISO 4217 code with cents.
    package func money(cents: Int64, _ currency: String = "usd") -> String {
        let (whole, rest) = cents.magnitude.quotientAndRemainder(dividingBy: 100)
        let text = "\(Self.grouped(String(whole))).\(rest < 10 ? "0" : "")\(rest)"
        return (cents < 0 ? "\u{2212}" : "") + (currency == "usd" ? "$\(text)" : "\(text) \(currency.uppercased())")
    }

    private static let nanoPerShownUnit: Int64 = 100_000
    private static let shownUnitsPerCredit: UInt64 = 10_000

    private static func short(decimal text: String) -> String {
        if let amount = Credits(decimal: text) { return short(amount) }
        let (sign, digits) = text.hasPrefix("-") ? ("\u{2212}", text.dropFirst()) : ("", text[...])
        return sign + grouped(String(digits.prefix { $0 != "." }))
    }

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
