import HTTPClient
import JSON

/// The broker's management API.
struct BrokerAPI: Sendable {
    private let client: HTTPClient
    private let url: String

    init(_ client: HTTPClient, _ stack: SoakStack) throws {
        self.client = client
        url = try stack.broker("api") + "/api"
    }

    /// Returns the number of messages in the ledger's queues, including unacknowledged ones. The
    /// broker counts every five seconds.
    func messagesOfLedger() async throws -> Int64 {
        try await list("queues/gw").reduce(0) { sum, queue in
            let name = try queue.string("name")
            guard name.hasPrefix("ledger."), !name.hasSuffix(".dlq") else { return sum }
            return sum + (try queue.optionalInteger("messages") ?? 0)
        }
    }

    /// Returns the names of the connections of the ledgers.
    /// - Parameter role: selects the connections of one queue; all by default.
    func connections(role: String = "") async throws -> [String] {
        try await list("connections").filter { connection in
            try connection.optionalString("user_provided_name")?.hasPrefix("ledger:\(role)") == true
        }.map { try $0.string("name") }
    }

    /// Closes a connection, which may be closed already.
    func close(_ connection: String) async throws {
        let name = connection.replacing(" ", with: "%20").replacing(">", with: "%3E")
        _ = try await client.request(ClientRequest("DELETE", "\(url)/connections/\(name)"))
    }

    /// Returns the name of the connection of the active consumer of a queue.
    func activeConsumer(of queue: String) async throws -> String? {
        let consumers = try await list("consumers/gw")
        let active = try consumers.first { try $0.object("queue").string("name") == queue && $0.optionalBool("active") == true }
        guard let connection = try active?.object("channel_details").string("connection_name") else { return nil }
        return try await list("connections").first { try $0.string("name") == connection }?.optionalString("user_provided_name")
    }

    private func list(_ path: String) async throws -> [JSONObject] {
        let answer = try await client.request(ClientRequest("GET", "\(url)/\(path)"))
        guard answer.status == 200, case .array(let values) = try JSONValue(answer.body) else {
            throw SoakError(description: "\(path): \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
        }
        return values.compactMap { value in if case .object(let object) = value { object } else { nil } }
    }
}
