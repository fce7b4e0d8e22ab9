import JSON
import Values

/// A page of a list (docs.stripe.com/api/pagination).
struct StripeList {
    let data: [JSONObject]
    let hasMore: Bool

    init(_ json: JSONObject) throws {
        data = try json.stripe("data") { (json, name) throws(JSONError) in try json.array(name) }.map { value in
            guard let object = value.object else { throw StripeError.malformed("`data` must have objects only") }
            return object
        }
        hasMore = try json.stripe("has_more") { (json, name) throws(JSONError) in try json.optionalBool(name) } ?? false
    }
}

// Members of Stripe's objects. A member that is missing or of another type is ``StripeError/malformed(_:)``.
extension JSONObject {
    func stripe<Value>(_ name: String, _ read: (JSONObject, String) throws(JSONError) -> Value) throws -> Value {
        do throws(JSONError) { return try read(self, name) } catch { throw StripeError.malformed("\(error)") }
    }

    func stripeString(_ name: String) throws -> String { try stripe(name) { (json, name) throws(JSONError) in try json.string(name) } }

    func optionalStripeString(_ name: String) throws -> String? {
        try stripe(name) { (json, name) throws(JSONError) in try json.optionalString(name) }
    }

    func stripeInteger(_ name: String) throws -> Int64 { try stripe(name) { (json, name) throws(JSONError) in try json.integer(name) } }

    func optionalStripeInteger(_ name: String) throws -> Int64? {
        try stripe(name) { (json, name) throws(JSONError) in try json.optionalInteger(name) }
    }

    func stripeBool(_ name: String) throws -> Bool {
        try stripe(name) { (json, name) throws(JSONError) in try json.optionalBool(name) } ?? false
    }

    func optionalStripeObject(_ name: String) throws -> JSONObject? {
        try stripe(name) { (json, name) throws(JSONError) in try json.optionalObject(name) }
    }

    func stripeObject(_ name: String) throws -> JSONObject { try stripe(name) { (json, name) throws(JSONError) in try json.object(name) } }

    /// The id of a member that is an id or, expanded, an object.
    func stripeID(_ name: String) throws -> String? {
        guard let member = member(name), member.kind != .null else { return nil }
        return member.kind == .object ? try stripeObject(name).stripeString("id") : try stripeString(name)
    }

    /// Unix seconds.
    func stripeTime(_ name: String) throws -> Instant { try Self.time(try stripeInteger(name), name) }
    func optionalStripeTime(_ name: String) throws -> Instant? { try optionalStripeInteger(name).map { try Self.time($0, name) } }

    private static func time(_ seconds: Int64, _ name: String) throws -> Instant {
        // The years 1970 to 9999, as Postgres and the texts of times take them.
        guard (0...253_402_300_799).contains(seconds) else { throw StripeError.malformed("`\(name)` must be a time") }
        return Instant(microseconds: seconds * 1_000_000)
    }

    /// A member of `metadata`.
    func metadata(_ name: String) throws -> String? { try optionalStripeObject("metadata")?.optionalStripeString(name) }
}
