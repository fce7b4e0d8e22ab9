import Contracts
import JSON
import LedgerCore
import Postgres
import Values

// How the ledger's values look outside.

extension JSONWriter {
    /// A JSON number in credits, exact; nil writes null.
    mutating func field(_ name: String, credits: Credits?) { field(name, decimal: credits?.description) }

    /// `decimal` is a JSON number's own characters.
    mutating func field(_ name: String, decimal: String?) { field(name, raw: Array((decimal ?? "null").utf8)) }
}

extension HistoryLine {
    /// - Parameter isForOwner: hides who adjusted, and under which key.
    func encode(into json: inout JSONWriter, isForOwner: Bool) {
        json.field("id", entry.charge)
        json.field("seq", entry.seq)
        json.field("type", entry.kind.type)
        json.field("amount", credits: entry.postedDelta)
        json.field("balance_before", credits: entry.postedAfter - entry.postedDelta)
        json.field("balance_after", credits: entry.postedAfter)
        json.field("description", description)
        if let flag { json.field("flag", flag) }
        if entry.overage > .zero { json.field("overage", credits: entry.overage) }
        if let expiresAt = entry.expiresAt { json.field("expires_at", expiresAt.description) }
        json.key("metadata")
        if let shown = isForOwner ? metadataForOwner : metadata?.bytes { json.raw(shown) } else { json.null() }
        json.field("created_at", entry.at.description)
    }

    private var metadataForOwner: [UInt8]? {
        guard let call else { return nil }
        var splice = JSONSplice(call)
        splice.remove("admin_id")
        splice.remove("idempotency_key")
        return splice.apply()
    }
}

extension Lot {
    func encode(into json: inout JSONWriter) {
        json.field("id", id)
        json.field("type", kind.type)
        json.field("amount", credits: amount)
        json.field("remaining", credits: remaining)
        json.field("granted_at", grantedAt.description)
        json.field("expires_at", expiresAt?.description)
    }
}

extension UsageSums {
    /// Writes usage. Credits used are positive here, although they lowered balances.
    func encodeUsage(into json: inout JSONWriter) {
        json.field("credits_used", decimal: used)
        json.field("charges", entries)
        json.field("prompt_tokens", promptTokens)
        json.field("completion_tokens", completionTokens)
        json.field("overage", decimal: overage)
        json.object("units") { json in
            for (unit, quantity) in units.sorted(by: { $0.key < $1.key }) { json.field(unit.rawValue, quantity) }
        }
    }
}
