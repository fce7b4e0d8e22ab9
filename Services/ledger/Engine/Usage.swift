package import Contracts
import Values

/// The part of a command that is added up in the rollups: model, operation, quantities.
package struct Usage: Equatable, Sendable {
    package var model: String?
    package var operation: String?
    package var units = UnitQuantities()

    /// The longest name of a model or an operation. A longer one is counted under its beginning.
    package static let nameScalarsMax = 200

    package init(model: String? = nil, operation: String? = nil, units: UnitQuantities = [:]) {
        (self.model, self.operation, self.units) = (model, operation, units)
    }
}

/// The sums that people's charts are made of: written in the batch of the entries they add up, so they equal the journal at every
/// moment.
struct UsageRow: Equatable, Sendable {
    /// A quarter of an hour: every time zone's days are made of them.
    struct Key: Hashable, Sendable {
        let account: AccountID
        let quarter: Instant
        let type: String
        let model: String
        let operation: String

        /// Names are told apart by their bytes, as the table does: Swift takes an accented letter and its two halves for the same.
        static func == (left: Self, right: Self) -> Bool {
            left.account == right.account && left.quarter == right.quarter && left.type == right.type
                && left.model.utf8.elementsEqual(right.model.utf8) && left.operation.utf8.elementsEqual(right.operation.utf8)
        }
    }

    let key: Key
    var entries: Int64 = 0
    /// The change of the balance: negative for spending.
    var credits: Credits = .zero
    var overage: Credits = .zero
    var units: [MeteredUnit: Int64] = [:]

    static let quarter: Int64 = 900_000_000
    /// Adds up, one row a key. A sum that would leave 64 bits stays at their end.
    static func of(_ entries: [Entry]) -> [UsageRow] {
        var rows: [Key: UsageRow] = [:]
        for entry in entries where entry.isCounted {
            let usage = entry.context.usage
            let key = Key(
                account: entry.account, quarter: Instant(microseconds: entry.at.microseconds / quarter * quarter), type: entry.kind.type,
                model: name(usage?.model), operation: name(usage?.operation))
            rows[key, default: UsageRow(key: key)].add(entry)
        }
        return Array(rows.values)
    }

    private mutating func add(_ entry: Entry) {
        entries += 1
        credits = credits.adding(upTo64Bits: entry.postedDelta)
        overage = overage.adding(upTo64Bits: entry.overage)
        for (unit, quantity) in entry.context.usage?.units.all ?? [:] { units[unit, default: 0] += quantity }
    }

    private static func name(_ text: String?) -> String {
        guard let text else { return "" }
        // A scalar has at least one byte.
        guard text.utf8.count > Usage.nameScalarsMax else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(Usage.nameScalarsMax)))
    }
}

extension Credits {
    fileprivate func adding(upTo64Bits other: Credits) -> Credits {
        let (sum, overflowed) = nano.addingReportingOverflow(other.nano)
        return overflowed ? Credits(nano: nano < 0 ? .min : .max) : Credits(nano: sum)
    }
}

extension Entry {
    /// Usage that cost nothing is usage too.
    package var isCounted: Bool { status == .applied && (kind.charges || postedDelta != .zero) }
}
