import Glibc

/// A virtual host of its own on the RabbitMQ that `TEST_AMQP_URL` and `TEST_RABBITMQ_API` name; gone after the test.
package struct TestBroker: Sendable {
    /// With the virtual host in its path.
    package let url: String
    package let virtualHost: String
    private let api: ManagementAPI

    package struct NotConfigured: Error, CustomStringConvertible {
        package let variable: String
        package var description: String { "\(variable) is not set: `make test` starts RabbitMQ and sets it" }
    }

    package static func with<Result>(
        definitions: String? = nil, _ body: (TestBroker) async throws -> Result
    ) async throws -> Result {
        try await with(url: environment("TEST_AMQP_URL"), api: environment("TEST_RABBITMQ_API"), definitions: definitions, body)
    }

    /// - Parameter definitions: a virtual host's part of a definitions file (queues, exchanges, bindings, policies) as JSON.
    package static func with<Result>(
        url: String, api: String, definitions: String? = nil, _ body: (TestBroker) async throws -> Result
    ) async throws -> Result {
        let broker = try TestBroker(url: url, api: ManagementAPI(api))
        try broker.create()
        do {
            if let definitions { try broker.api.call("POST", "/definitions/\(broker.virtualHost)", body: definitions) }
            let result = try await body(broker)
            try broker.delete()
            return result
        } catch {
            try? broker.delete()
            throw error
        }
    }

    private init(url: String, api: ManagementAPI) throws {
        virtualHost = "test-\(getpid())-\(String(UInt64.random(in: .min ... .max), radix: 36))"
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.url = "\(base)/\(virtualHost)"
        self.api = api
    }

    private static func environment(_ name: String) throws -> String {
        guard let value = getenv(name) else { throw NotConfigured(variable: name) }
        return String(cString: value)
    }

    private func create() throws {
        try api.call("PUT", "/vhosts/\(virtualHost)")
        let user = api.credentials.prefix { $0 != ":" }
        try api.call(
            "PUT", "/permissions/\(virtualHost)/\(user)", body: #"{"configure":".*","write":".*","read":".*"}"#)
        try declareExchange("rpc.reply", type: "direct")
    }

    private func delete() throws { try api.call("DELETE", "/vhosts/\(virtualHost)") }

    // MARK: What a test needs to be there, or gone

    package func declareExchange(_ name: String, type: String) throws {
        try api.call("PUT", "/exchanges/\(virtualHost)/\(name)", body: #"{"type":"\#(type)","durable":true}"#)
    }

    /// - Parameter arguments: the inside of a JSON object: `"x-queue-type":"quorum"`.
    package func declareQueue(_ name: String, arguments: String = "") throws {
        try api.call("PUT", "/queues/\(virtualHost)/\(name)", body: #"{"durable":true,"arguments":{\#(arguments)}}"#)
    }

    package func bind(queue: String, exchange: String, routingKey: String) throws {
        try api.call("POST", "/bindings/\(virtualHost)/e/\(exchange)/q/\(queue)", body: #"{"routing_key":"\#(routingKey)"}"#)
    }

    /// - Parameter definition: the inside of a JSON object.
    package func declarePolicy(_ name: String, pattern: String, definition: String) throws {
        try api.call(
            "PUT", "/policies/\(virtualHost)/\(name)", body: #"{"pattern":"\#(pattern)","apply-to":"queues","definition":{\#(definition)}}"#
        )
    }

    package func deleteQueue(_ name: String) throws { try api.call("DELETE", "/queues/\(virtualHost)/\(name)") }

    package func deleteExchange(_ name: String) throws { try api.call("DELETE", "/exchanges/\(virtualHost)/\(name)") }

    /// Closes, from the broker's side, every connection into this virtual host, until `isDone`. The API shows a connection only
    /// some time after it was made, so one look is not enough.
    package func closeConnections(until isDone: () -> Bool) async throws {
        let limit = ContinuousClock.now + .seconds(30)
        while !isDone() {
            guard ContinuousClock.now < limit else { throw ManagementAPI.Failure(description: "no connection could be closed in 30 s") }
            let list = try api.call("GET", "/vhosts/\(virtualHost)/connections?columns=name")
            for part in list.split(separator: #""name":""#).dropFirst() {
                // It may have gone by itself meanwhile.
                _ = try? api.call("DELETE", "/connections/\(percentEncoded(part.prefix { $0 != "\"" }))")
            }
        }
    }
}

private func percentEncoded(_ text: Substring) -> String {
    text.utf8.map { byte in
        let character = Character(UnicodeScalar(byte))
        let hex = String(byte, radix: 16)
        return character.isLetter || character.isNumber ? String(character) : "%" + (hex.count == 1 ? "0" + hex : hex)
    }.joined()
}
