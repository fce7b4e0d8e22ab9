import EventLoop
import HTTP
import HTTPClient
import Telemetry
import TestSupport

/// A server of routes on a loop of its own, and its client.
struct PageServer: Sendable {
    private let client: HTTPClient
    private let base: String
    private let loop: EventLoop
    private let server: HTTPServer

    init(_ routes: (inout Router) -> Void) async throws {
        var router = Router()
        routes(&router)
        let (loop, log, built) = (EventLoop.spawn(name: "test-web"), Logger(service: "test", level: .error), router)
        (server, client) = try await Task(executorPreference: loop) {
            let server = HTTPServer(
                loop: loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), admit: built.admit,
                handler: built.handler(log: log, service: "test"), log: log)
            try server.start()
            return (server, HTTPClient(loop: loop))
        }.value
        self.loop = loop
        base = "http://127.0.0.1:\(server.port)"
    }

    struct Answer: Sendable {
        var status: Int
        var headers: [(name: String, value: String)]
        var body: String

        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
    }

    func ask(
        _ method: String, _ path: String, headers: [(name: String, value: String)] = [], _ body: String? = nil
    ) async throws -> Answer {
        try await Task(executorPreference: loop) { [client, base] in
            let answer = try await client.request(ClientRequest(method, base + path, headers: headers, body: body.map { Array($0.utf8) }))
            return Answer(status: answer.status, headers: answer.headers, body: String(decoding: answer.body, as: UTF8.self))
        }.value
    }
}
