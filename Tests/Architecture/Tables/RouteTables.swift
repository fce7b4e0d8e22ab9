import HTTP
import Testing

/// The tables of all services. Each file next to this one reads one module, because every service
/// calls its door `Routes`.
enum RouteTables {
    struct Service: Sendable, CustomTestStringConvertible {
        let name: String
        let rows: [RouteRow]

        var testDescription: String { name }
    }

    static let services = [
        Service(name: "auth", rows: auth), Service(name: "ledger", rows: ledger), Service(name: "llm-proxy", rows: llmProxy),
        Service(name: "billing", rows: billing),
    ]
}
