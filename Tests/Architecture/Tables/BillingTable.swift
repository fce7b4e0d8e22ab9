import HTTP

@testable import Billing

extension RouteTables {
    static let billing = Routes.table.map(\.row)
}
