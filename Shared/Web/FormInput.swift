package import HTTP
import HTTPWire

/// The fields that a person sent with a form, and what is wrong with them. A form that is shown for the
/// first time has none.
package struct FormInput: Sendable {
    private var values: [String: String] = [:]
    /// In the order in which they were found.
    package private(set) var errors: [(field: String, message: String)] = []

    package init(_ values: [String: String] = [:]) { self.values = values }

    /// Reads the body of a form. A field that is left out is empty.
    /// - Throws: 400 for a body that is no form, or names a field twice: no page of ours sends it.
    package init(_ request: Request) throws(Problem) { try self.init(request.headers, request.body) }

    /// Reads the body of a request that no handler has seen.
    package init(_ exchange: Exchange) throws(Problem) { try self.init(exchange.headers, exchange.body) }

    private init(_ headers: HeaderBlock, _ body: [UInt8]) throws(Problem) {
        guard headers.isForm else {
            throw .invalidRequest("The body must be a form (application/x-www-form-urlencoded).")
        }
        for (name, value) in try Query(body).pairs {
            guard values.updateValue(value, forKey: name) == nil else {
                throw .invalidRequest("`\(name)` must be given once.", param: name)
            }
        }
    }

    package subscript(field: String) -> String {
        get { values[field] ?? "" }
        set { values[field] = newValue }
    }

    /// The fields of a page that sends the form again: without the token of the old page. Nil for a form that has no field, and for one
    /// with a password, which no page shows.
    var sendingAgain: [String: String]? {
        let fields = values.filter { $0.key != "csrf_token" }
        return fields.isEmpty || fields.contains { $0.key.contains("password") } ? nil : fields
    }

    /// True if a box is ticked.
    package func isOn(_ field: String) -> Bool { values[field] != nil }

    /// Notes an error, which stands next to its field.
    package mutating func refuse(_ field: String, _ message: String) { errors.append((field, message)) }

    package func error(of field: String) -> String? { errors.first { $0.field == field }?.message }

    package var isFine: Bool { errors.isEmpty }
}
