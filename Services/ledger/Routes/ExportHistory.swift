import HTTP
import HTTPWire
import JSON
import Values

extension Routes {
    /// All of what a filter lets through as one file, newest first, read and sent in pieces: however long it is, a piece of it is all that
    /// is in memory, and a client that hangs up ends it. Should the database go away on the way, the file breaks off unmistakably.
    /// - Parameter slot: held until the last piece is sent or the client has left.
    func historyExport(of account: AccountID, _ query: Query, _ slot: CallerSlot) async throws -> Response {
        for name in ["page", "limit", "cursor"] where try query.filled(name) != nil {
            throw Problem.invalidRequest("An export has all transactions; leave out `\(name)`.", param: name)
        }
        let filter = try await historyFilter(query)
        let store = store
        let name = "transactions-\(Instant.now().description.prefix(10)).csv"
        return .stream(
            200,
            headers: ["content-type": "text/csv; charset=utf-8; header=present", "content-disposition": "attachment; filename=\"\(name)\""]
        ) { body in
            defer { withExtendedLifetime(slot) {} }
            var head = CSV()
            head.row(HistoryLine.csvColumns.map(CSV.Cell.plain))
            try await body.write(head.bytes)
            try await store.exportHistory(of: account, filter) { lines in
                // Also without rows: a piece of nothing is not sent, but tells whether the client has hung up.
                var rows = CSV()
                for line in lines { rows.row(line.csvCells) }
                try await body.write(rows.bytes)
            }
        }
    }
}

extension HistoryLine {
    static let csvColumns = [
        "created_at", "id", "type", "amount", "balance_before", "balance_after", "description", "model", "operation", "prompt_tokens",
        "completion_tokens", "overage", "flag", "expires_at",
    ]

    var csvCells: [CSV.Cell] {
        let call = call
        func text(_ name: String) -> CSV.Cell { .text((try? call?.optionalString(name)) ?? "") }
        func number(_ name: String) -> CSV.Cell { .plain((try? call?.optionalInteger(name)).map(String.init) ?? "") }
        return [
            .plain(entry.at.description), .plain(entry.charge.description), .plain(entry.kind.type),
            .plain(entry.postedDelta.description), .plain((entry.postedAfter - entry.postedDelta).description),
            .plain(entry.postedAfter.description), .text(description ?? ""), text("model"), text("operation"), number("prompt_tokens"),
            number("completion_tokens"), .plain(entry.overage > .zero ? entry.overage.description : ""), .plain(flag ?? ""),
            .plain(entry.expiresAt?.description ?? ""),
        ]
    }
}

/// RFC 4180, UTF-8.
struct CSV {
    enum Cell {
        /// A text that the ledger made: a number, a time, the name of a type.
        case plain(String)
        /// A text of a client or a provider, always in quotes. A spreadsheet would run it as a formula if it begins like
        /// one, so an apostrophe goes before it. The same is done after a semicolon or a tab within: a spreadsheet that
        /// separates cells by those begins a new cell there, whatever the quotes say.
        case text(String)
    }

    private(set) var bytes: [UInt8] = []

    mutating func row(_ cells: [Cell]) {
        for (index, cell) in cells.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            switch cell {
            case .plain(let text): append(text)
            case .text(let text): append(Self.withoutFormulas(text), inQuotes: true)
            }
        }
        bytes.append(contentsOf: "\r\n".utf8)
    }

    /// OWASP, CSV Injection: the wide forms too.
    private static let formulaStarts: Set<Unicode.Scalar> = [
        "=", "+", "-", "@", "\t", "\r", "\n", "\u{FF1D}", "\u{FF0B}", "\u{FF0D}", "\u{FF20}",
    ]

    private static let separators: Set<Unicode.Scalar> = [";", "\t", "\r", "\n"]

    /// Spaces and quotes are passed over: a cell may still be a formula behind them.
    private static func withoutFormulas(_ text: String) -> String {
        var output = String.UnicodeScalarView()
        var isAtStart = true
        for scalar in text.unicodeScalars {
            if isAtStart, formulaStarts.contains(scalar) {
                output.append("'")
                isAtStart = false
            } else if scalar != " ", scalar != "\"" {
                isAtStart = false
            }
            output.append(scalar)
            if separators.contains(scalar) { isAtStart = true }
        }
        return String(output)
    }

    private mutating func append(_ text: String, inQuotes: Bool = false) {
        guard inQuotes || text.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else {
            return bytes.append(contentsOf: text.utf8)
        }
        bytes.append(0x22)
        for byte in text.utf8 {
            if byte == 0x22 { bytes.append(0x22) }
            bytes.append(byte)
        }
        bytes.append(0x22)
    }
}
