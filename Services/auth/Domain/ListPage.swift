/// A part of a list.
struct ListPage<Row: Sendable>: Sendable {
    let rows: [Row]
    /// The row after which the next page begins. Nil on the last page.
    let last: Row?

    /// - Parameter found: one row more than the page may have, if the list has it.
    init(_ found: [Row], limit: Int) {
        rows = Array(found.prefix(limit))
        last = found.count > limit ? rows.last : nil
    }
}
