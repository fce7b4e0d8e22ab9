import Text

/// The parameters of a call, in Stripe's form encoding: `line_items[0][price]=…`.
struct StripeForm: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    private var fields: [(name: String, value: String)] = []

    init(dictionaryLiteral elements: (String, String)...) { fields = elements.map { ($0.0, $0.1) } }

    /// Appends a parameter. An empty value clears the member of the object.
    mutating func append(_ name: String, _ value: String) { fields.append((name, value)) }

    func appending(_ name: String, _ value: String) -> StripeForm {
        var form = self
        form.append(name, value)
        return form
    }

    var isEmpty: Bool { fields.isEmpty }

    var encoded: String {
        fields.map { "\(PercentEncoding.encode($0.name))=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
    }

    static func == (left: Self, right: Self) -> Bool { left.encoded == right.encoded }
    func hash(into hasher: inout Hasher) { hasher.combine(encoded) }
}
