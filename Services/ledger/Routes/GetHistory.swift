import HTTP
import Identity
import JSON
import LedgerCore
import Text
import Values

extension Routes {
    func history(_ request: Request, caller: Principal) async throws -> Response {
        try await history(of: caller.accountID, request.query, by: caller, isForOwner: true)
    }

    func anyHistory(_ request: Request, administrator: Principal) async throws -> Response {
        try await history(of: request.query.account(), request.query, by: administrator, isForOwner: false)
    }

    private func history(of account: AccountID, _ query: Query, by caller: Principal, isForOwner: Bool) async throws -> Response {
        switch try query.filled("format") ?? "json" {
        case "json":
            try await slots.during(caller.accountID) { try await historyPage(of: account, query, isForOwner: isForOwner) }
        case "csv": try await historyExport(of: account, query, slots.take(for: caller.accountID))
        default: throw Problem.invalidRequest("Expected json or csv.", param: "format")
        }
    }

    /// Returns a page by `page` and `limit`, or by the `cursor` of the page before, which costs the same at any depth.
    func historyPage(of account: AccountID, _ query: Query, isForOwner: Bool) async throws -> Response {
        let limit = try query.integer("limit", default: 20, in: 1...100)
        let page = try query.integer("page", default: 1, in: 1...10_000)
        let cursor = try Self.cursor(query)
        let filter = try await historyFilter(query)
        let found = try await store.history(
            of: account, filter, before: cursor, offset: cursor == nil ? (page - 1) * limit : 0, limit: limit)
        return .object(200) { json in
            json.array("transactions") { json in
                for line in found.lines { json.object { line.encode(into: &$0, isForOwner: isForOwner) } }
            }
            if cursor == nil { json.field("page", page) }
            json.field("limit", limit)
            json.field("total", found.total)
            json.field("total_is_exact", found.total != nil && found.isTotalExact)
            json.field("has_more", found.nextCursor != nil)
            json.field("next_cursor", found.nextCursor.map(String.init))
        }
    }

    static func cursor(_ query: Query) throws(Problem) -> Int64? {
        guard let text = try query.filled("cursor") else { return nil }
        guard let seq = Int64(text), seq > 0 else {
            throw .invalidRequest("`cursor` is not valid; use `next_cursor` of the previous page.", param: "cursor")
        }
        return seq
    }

    /// `type` (several separated by commas), `from`, `to`, `tz`, `q`.
    func historyFilter(_ query: Query) async throws -> HistoryFilter {
        try await historyFilter(kinds: kinds(query), text: searched(query), AskedPeriod(query))
    }

    func historyFilter(kinds: [Entry.Kind], text: String, _ asked: AskedPeriod) async throws -> HistoryFilter {
        var filter = HistoryFilter(kinds: kinds, text: text)
        guard !asked.isUnbounded || asked.zone != "UTC" else { return filter }
        // An end that was not asked for must not come before the beginning that was.
        let bounded = AskedPeriod(from: asked.from, to: asked.to ?? .moment(.startOf(month: 330 * 12)), zone: asked.zone)
        let period = try await period(bounded)
        if asked.from != nil { filter.from = period.from }
        if asked.to != nil { filter.to = period.to }
        return filter
    }

    func kinds(_ query: Query) throws(Problem) -> [Entry.Kind] {
        var kinds: [Entry.Kind] = []
        for type in try query.filled("type")?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
            let named = Entry.Kind.of(type: String(type))
            guard !named.isEmpty, type != "hold", type != "void" else {
                throw .invalidRequest("There is no transaction type '\(type)'.", param: "type")
            }
            kinds += named
        }
        return kinds
    }

    private func searched(_ query: Query) throws(Problem) -> String {
        let text = try query.filled("q") ?? ""
        guard Self.isSearchable(text) else {
            throw .invalidRequest("Expected at most 200 characters, all of them visible.", param: "q")
        }
        return text
    }

    static func isSearchable(_ text: String) -> Bool { text.unicodeScalars.count <= 200 && text.unicodeScalars.allSatisfy(\.isVisible) }
}
