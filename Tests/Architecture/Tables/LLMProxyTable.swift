import HTTP

@testable import LLMProxy

extension RouteTables {
    static let llmProxy = Routes.table.map(\.row)
}
