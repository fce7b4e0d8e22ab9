package import JSON
package import Values

/// A promise between services, carried as JSON over RabbitMQ.
///
/// Adding an optional field keeps the name; changing the meaning of one makes a `v2` next to `v1`. Bodies hold integers in minor
/// units and ids; never prompts, completions or secrets.
package protocol Message: Sendable {
    /// The wire name, for ever: AMQP `type`, and the routing key unless ``routingKey`` says otherwise.
    static var name: String { get }
    static var exchange: Topology.Exchange { get }
    /// The key by which the exchange finds the queue.
    var routingKey: String { get }

    func encode(into json: inout JSONWriter)

    /// - Throws: `JSONError` or ``MessageError`` naming the field that is missing or malformed.
    init(from json: JSONObject) throws
}

extension Message {
    package var routingKey: String { Self.name }

    package func encoded() -> [UInt8] {
        var json = JSONWriter()
        json.object { encode(into: &$0) }
        return json.bytes
    }

    package init(decoding body: [UInt8]) throws {
        try self.init(from: JSONObject(body))
    }
}

/// A field that is well-formed JSON but not what the message's contract says.
package struct MessageError: Error, CustomStringConvertible {
    package var field: String
    package var expected: String
    package init(field: String, expected: String) {
        self.field = field
        self.expected = expected
    }
    package var description: String { "\(field): expected \(expected)" }
}

// How the shared types travel: ids as text, amounts as whole nano-credits, times as microseconds since 1970.

extension JSONWriter {
    package mutating func field(_ name: String, _ id: some TypedID) { field(name, id.description) }
    package mutating func field(_ name: String, nano amount: Credits) { field(name, amount.nano) }
    package mutating func field(_ name: String, _ instant: Instant) { field(name, instant.microseconds) }
    package mutating func field(optional name: String, _ value: String?) { if let value { field(name, value) } }
    package mutating func field(optional name: String, _ value: Int64?) { if let value { field(name, value) } }
}

extension JSONObject {
    package func id<ID: TypedID>(_ name: String, as type: ID.Type = ID.self) throws -> ID {
        guard let id = ID(try string(name)) else { throw MessageError(field: name, expected: "a UUID") }
        return id
    }

    package func nanoCredits(_ name: String) throws -> Credits { Credits(nano: try integer(name)) }
    package func instant(_ name: String) throws -> Instant { try instant(name, try integer(name)) }
    package func optionalInstant(_ name: String) throws -> Instant? { try optionalInteger(name).map { try instant(name, $0) } }

    /// Postgres and RFC 3339 have no words for more.
    private func instant(_ name: String, _ microseconds: Int64) throws -> Instant {
        guard (0...253_402_300_799_999_999).contains(microseconds) else {
            throw MessageError(field: name, expected: "microseconds of the years 1970 to 9999")
        }
        return Instant(microseconds: microseconds)
    }

    package func oneOf<Value: RawRepresentable & CaseIterable>(_ name: String, as type: Value.Type = Value.self) throws -> Value
    where Value.RawValue == String {
        guard let value = Value(rawValue: try string(name)) else {
            throw MessageError(field: name, expected: "one of " + Value.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return value
    }
}
