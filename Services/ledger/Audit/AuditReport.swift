import JSON
import Values

// How a report reads, for programs and for people.

extension AuditRun {
    func encode(into json: inout JSONWriter) {
        json.field("consistent", audit.findings.isEmpty)
        json.field("started_at", started.description)
        json.field("finished_at", finished.description)
        json.field("audited_from", audit.firstMonth?.start.description)
        json.field("accounts", audit.accounts)
        json.field("entries", audit.entries)
        json.field("open_holds", audit.holds)
        json.field("balance", decimal: audit.posted)
        json.field("held", decimal: audit.held)
        json.array("findings") { json in
            for finding in audit.findings { json.object { finding.encode(into: &$0) } }
        }
    }

    /// Lines of text.
    var text: String {
        var lines = [
            "\(audit.accounts) accounts with \(audit.posted) credits, \(audit.held) of them held by \(audit.holds) open holds",
            "\(audit.entries) journal entries from \(audit.firstMonth?.description ?? "the first") on, read in "
                + "\((finished - started).wholeMilliseconds) ms, as of \(started)",
            audit.findings.isEmpty
                ? "consistent" : "NOT CONSISTENT: the first row of each check where journal and tables differ (amounts in nano-credits)",
        ]
        for finding in audit.findings {
            let place = [finding.account.map { "account \($0)" }, finding.charge.map { "charge \($0)" }, finding.seq.map { "seq \($0)" }]
            lines.append("  \(finding.check): \(place.compactMap(\.self).joined(separator: ", ")): \(finding.detail)")
        }
        return lines.joined(separator: "\n")
    }
}

extension Audit {
    /// Nil: the audit began before the first entry.
    fileprivate var firstMonth: JournalMonth? {
        let month = JournalMonth(of: from)
        return month.index == 0 ? nil : month
    }
}

extension Audit.Finding {
    func encode(into json: inout JSONWriter) {
        json.field("check", check)
        json.field("account_id", account?.description)
        json.field("charge_id", charge?.description)
        json.field("seq", seq)
        json.field("detail", detail)
    }

    init(_ json: JSONObject) throws(JSONError) {
        self.init(
            check: try json.string("check"), account: try json.optionalString("account_id").flatMap { AccountID($0) },
            charge: try json.optionalString("charge_id").flatMap { ChargeID($0) }, seq: try json.optionalInteger("seq"),
            detail: try json.string("detail"))
    }
}
