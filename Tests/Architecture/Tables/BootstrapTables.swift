import HTTP

@testable import Bootstrap

extension RouteTables {
    /// The rows that every service adds to its serving port.
    static let common = CommonRoutes.table.map(\.row)
    /// The rows of every health port.
    static let health = HealthRoutes.table.map(\.row)
}
