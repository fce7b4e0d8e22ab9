import HTTP
import JSON
import LedgerCore
import Postgres
import Values

// The parameters that several routes read from a query or a body, and the 400 that names what is wrong.

extension Query {
    /// Nil when it is missing or empty, as forms send an empty field.
    func filled(_ name: String) throws(Problem) -> String? {
        guard let text = try optionalString(name), !text.isEmpty else { return nil }
        return text
    }

    /// Returns the account that an administrator asks about.
    func account() throws(Problem) -> AccountID {
        guard let user = UserID(try string("user_id")) else { throw .invalidRequest("Expected a UUID.", param: "user_id") }
        return AccountID(user)
    }
}

extension JSONObject {
    /// Nil when it is missing or null.
    func optionalText(_ name: String, lengthMax: Int) throws -> String? { has(name) ? try text(name, lengthMax: lengthMax) : nil }

    func credits(_ name: String) throws -> Credits {
        guard let amount = Credits(decimal: try decimalText(name)) else {
            throw Problem.invalidRequest("Expected a number of credits with at most 9 fraction digits, within range.", param: name)
        }
        return amount
    }
}

extension AskedPeriod {
    /// `from` and `to` are moments (RFC 3339) or days (`2026-11-20`) of the time zone `tz`, UTC by default.
    init(_ query: Query) throws(Problem) {
        self.init(from: try Self.bound("from", query), to: try Self.bound("to", query), zone: try query.filled("tz") ?? "UTC")
    }

    private static func bound(_ name: String, _ query: Query) throws(Problem) -> Bound? {
        guard let text = try query.filled(name) else { return nil }
        if isDay(text) { return .day(text) }
        if let moment = Instant(timeWithOffset: text), years.contains(moment) { return .moment(moment) }
        throw .invalidRequest(
            "Expected a day like 2026-11-20 or a moment like 2026-11-20T09:30:00Z, in the years 2000 to 2199.", param: name)
    }

    /// True for a day like `2026-11-20`.
    static func isDay(_ text: String) -> Bool {
        text.utf8.count == 10 && Instant(text + "T00:00:00Z").map(years.contains) ?? false
    }

    private static let years = Instant.startOf(month: 30 * 12)..<Instant.startOf(month: 230 * 12)
}

extension Routes {
    /// - Throws: 400 for an unknown zone or a period that ends before it begins.
    func period(_ asked: AskedPeriod) async throws -> Period {
        guard try await zones.contains(asked.zone, store.reads) else {
            throw Problem.invalidRequest("Expected the IANA name of a time zone, like Europe/Berlin.", param: "tz")
        }
        let period = try await store.period(asked)
        guard period.from < period.to else { throw Problem.invalidRequest("`from` must be earlier than `to`.", param: "from") }
        return period
    }
}

extension Instant {
    /// RFC 3339 with `Z` or an offset. A plus sign that a form turned into a space is taken for one.
    init?(timeWithOffset text: String) {
        let bytes = Array(text.utf8)
        guard bytes.last != UInt8(ascii: "Z") else {
            self.init(text)
            return
        }
        guard bytes.count > 6, bytes[bytes.count - 3] == UInt8(ascii: ":") else { return nil }
        let offset = bytes.suffix(6)
        let sign: Int64
        switch offset.first {
        case UInt8(ascii: "+"), UInt8(ascii: " "): sign = 1
        case UInt8(ascii: "-"): sign = -1
        default: return nil
        }
        func number(_ digits: ArraySlice<UInt8>) -> Int64? {
            digits.allSatisfy { (48...57).contains($0) } ? Int64(String(decoding: digits, as: UTF8.self)) : nil
        }
        guard let hours = number(offset.dropFirst().prefix(2)), let minutes = number(offset.suffix(2)), hours < 24, minutes < 60,
            let local = Instant(String(decoding: bytes.dropLast(6), as: UTF8.self) + "Z")
        else { return nil }
        self.init(microseconds: local.microseconds - sign * (hours * 60 + minutes) * 60_000_000)
    }
}
