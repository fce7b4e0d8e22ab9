package import JSON

/// The name of a thing that is metered, as a price list has it: `input`, `image`, or with a
/// condition `image:hd`. Both parts are 1 to 40 characters of a–z, 0–9 and `_`.
///
/// The units of a call are disjoint: a cached input token is `cached_input` and not `input` too.
package struct MeteredUnit: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: String

    package init?(rawValue: String) {
        let parts = rawValue.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ 1...Self.nameBytesMax ~= $0.count && $0.allSatisfy(Self.isAllowed) }) else { return nil }
        self.rawValue = rawValue
    }

    package init(_ unit: UsageUnit) { rawValue = unit.rawValue }

    package static let input = MeteredUnit(.input)
    package static let output = MeteredUnit(.output)

    /// The name without its condition.
    package var name: Substring { rawValue.prefix { $0 != ":" } }

    /// True for a token that the client sent to the model.
    package var isPromptToken: Bool { known?.isPromptToken ?? false }
    /// True for a token that the model made.
    package var isCompletionToken: Bool { known?.isCompletionToken ?? false }

    private var known: UsageUnit? { UsageUnit(rawValue: String(name)) }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    private static let nameBytesMax = 40

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }
}

/// The usage of one call: a quantity of at most ``unitsMax`` units.
package struct UnitQuantities: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// The quantities above 0.
    package private(set) var all: [MeteredUnit: Int64] = [:]

    package static let unitsMax = 16
    /// The largest quantity of one unit. A provider's figure beyond it is not believed.
    package static let quantityMax: Int64 = 1_000_000_000_000

    package init() {}

    package init(dictionaryLiteral elements: (MeteredUnit, Int64)...) {
        for (unit, quantity) in elements { self[unit] = quantity }
    }

    /// A quantity is moved into 0...``quantityMax``. A unit beyond ``unitsMax`` is dropped.
    package subscript(unit: MeteredUnit) -> Int64 {
        get { all[unit] ?? 0 }
        set {
            guard newValue > 0 else { return all[unit] = nil }
            guard all[unit] != nil || all.count < Self.unitsMax else { return }
            all[unit] = min(newValue, Self.quantityMax)
        }
    }

    package var promptTokens: Int64 { all.reduce(0) { $1.key.isPromptToken ? $0 + $1.value : $0 } }
    package var completionTokens: Int64 { all.reduce(0) { $1.key.isCompletionToken ? $0 + $1.value : $0 } }

    package func encode(into json: inout JSONWriter) {
        for (unit, quantity) in all.sorted(by: { $0.key < $1.key }) { json.field(unit.rawValue, quantity) }
    }

    /// Reads quantities. Unlike a figure of a provider, one in a message is refused out of range.
    package init(from json: JSONObject) throws {
        guard json.members.count <= Self.unitsMax else {
            throw MessageError(field: "usage", expected: "at most \(Self.unitsMax) units")
        }
        for member in json.members {
            guard let unit = MeteredUnit(rawValue: member.name) else {
                throw MessageError(field: "usage", expected: "units like input or image:hd")
            }
            let quantity = try json.integer(member.name)
            guard 0...Self.quantityMax ~= quantity else {
                throw MessageError(field: "usage.\(unit.rawValue)", expected: "0 to \(Self.quantityMax)")
            }
            self[unit] = quantity
        }
    }
}
