import HTTP

@testable import Auth

extension RouteTables {
    static let auth = Routes.table.map(\.row)
}
