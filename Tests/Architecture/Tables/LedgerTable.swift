import HTTP

@testable import Ledger

extension RouteTables {
    static let ledger = Routes.table.map(\.row)
}
