import Contracts
import JSON
import LedgerCore
import Postgres
import Values

/// A page of the journal as its owner sees it: every change of the balance, newest first, without holds and releases.
struct HistoryPage: Sendable {
    var lines: [HistoryLine]
    /// Where the next page begins; nil on the last.
    var nextCursor: Int64?
    /// The number of lines; nil if a cursor was given, because the client got the number with the first page.
    var total: Int64?
    /// False: `total` is of the newest ``LedgerStore/historyWindow`` entries only.
    var isTotalExact: Bool
}

struct HistoryLine: Sendable {
    let entry: Entry
    let description: String?
    let metadata: JSONText?
}

extension HistoryLine {
    /// A charge that no ordinary settlement made.
    var flag: String? { entry.kind == .lateCapture || entry.kind == .expire ? entry.kind.name : nil }

    /// The facts of the model call that the entry charges.
    var call: JSONObject? { metadata.flatMap { try? JSONObject($0.bytes) } }

    /// The quantities that the call used.
    var units: UnitQuantities? { (try? call?.optionalObject("usage")).flatMap { try? UnitQuantities(from: $0) } }

    /// A fact of the model call, or of the deduction of one of our servers.
    func fact(_ name: String) -> String? { (try? call?.optionalString(name)) ?? nil }

    /// True if the provider never said what was used, and the proxy counted what it delivered.
    var isEstimated: Bool { (try? call?.bool("estimated")) ?? false }
}

struct HistoryFilter: Sendable {
    /// Empty means all.
    var kinds: [Entry.Kind] = []
    var from: Instant?
    var to: Instant?
    /// In description, model, operation or id, in any case; empty means all.
    var text = ""

    /// Usage is most of a chain; what is asked for besides it has an index of its own.
    fileprivate var isWithoutUsage: Bool { !kinds.isEmpty && kinds.allSatisfy { $0.rawValue >= 20 } }
}

extension LedgerStore {
    /// How far one page looks: so many entries of the account's chain, holds among them. Bounds what any page, search or count costs;
    /// what lies further back is reached by the cursor.
    static let historyWindow: Int64 = 100_000

    /// - Parameters:
    ///   - cursor: below this place in the chain, as the page before said.
    ///   - offset: lines to leave out.
    func history(
        of account: AccountID, _ filter: HistoryFilter, before cursor: Int64?, offset: Int, limit: Int,
        window: Int64 = LedgerStore.historyWindow
    ) async throws -> HistoryPage {
        let stretch = try await stretch(of: account, filter)
        let end = min(stretch.end, cursor ?? .max)
        let start = filter.isWithoutUsage ? stretch.start : max(stretch.start, end - window)
        guard start < end else { return HistoryPage(lines: [], nextCursor: nil, total: cursor == nil ? 0 : nil, isTotalExact: true) }

        // One line more than asked for tells whether there is another page.
        let slice = ChainSlice(account: account, filter: filter, start: start, end: end, limit: limit + 1, offset: offset)
        let (lines, total) = try await reads.withConnection { connection in
            cursor == nil ? try await connection.linesAndCount(slice) : (try await connection.lines(slice), nil)
        }
        let page = Array(lines.prefix(limit))
        let next = lines.count > limit ? page.last?.entry.seq : start > stretch.start ? start : nil
        return HistoryPage(lines: page, nextCursor: next, total: total, isTotalExact: start == stretch.start)
    }

    /// Everything that `filter` lets through, newest first, in pieces of bounded size; as of now, whatever comes meanwhile. Between two
    /// pieces no connection is held. `take` is called after each look, also one that found nothing: it may know that the client has left.
    func exportHistory(
        of account: AccountID, _ filter: HistoryFilter, linesMax: Int = 500, window: Int64 = 20_000,
        _ take: ([HistoryLine]) async throws -> Void
    ) async throws {
        let stretch = try await stretch(of: account, filter)
        var end = stretch.end
        while end > stretch.start {
            let start = filter.isWithoutUsage ? stretch.start : max(stretch.start, end - window)
            let slice = ChainSlice(account: account, filter: filter, start: start, end: end, limit: linesMax, offset: 0)
            let lines = try await reads.withConnection { try await $0.lines(slice) }
            try await take(lines)
            end = lines.count == linesMax ? lines[linesMax - 1].entry.seq : start
        }
    }

    private func stretch(of account: AccountID, _ filter: HistoryFilter) async throws -> ChainStretch {
        try await reads.withConnection { try await $0.one(FindStretch(account: account, from: filter.from, to: filter.to)) }
    }
}

extension PostgresConnection {
    fileprivate func lines(_ slice: ChainSlice) async throws -> [HistoryLine] {
        slice.filter.isWithoutUsage
            ? try await query(ReadHistory<GrantsOfChain>(slice: slice)) : try await query(ReadHistory<WholeChain>(slice: slice))
    }

    fileprivate func linesAndCount(_ slice: ChainSlice) async throws -> ([HistoryLine], Int64?) {
        let (lines, count) =
            slice.filter.isWithoutUsage
            ? try await pipeline(ReadHistory<GrantsOfChain>(slice: slice), CountHistory<GrantsOfChain>(slice: slice))
            : try await pipeline(ReadHistory<WholeChain>(slice: slice), CountHistory<WholeChain>(slice: slice))
        return (lines, count.first)
    }
}
