import EventLoop
import HTTP
import Telemetry
import TestSupport

/// A server on a loop of its own, on a free port.
struct TestServer: Sendable {
    let loop: EventLoop
    let server: HTTPServer
    let port: Int

    init(
        _ configuration: HTTPServerConfiguration = HTTPServerConfiguration(),
        admit: @escaping HTTPServer.Admit = { _, _, _ in Admission(bodyBytesMax: .max) }, handler: @escaping HTTPServer.Handler
    ) async throws {
        let loop = EventLoop.spawn(name: "test-http")
        self.loop = loop
        (server, port) = try await Task(executorPreference: loop) {
            let server = HTTPServer(
                loop: loop, configuration: configuration, admit: admit, handler: handler, log: Self.log)
            try server.start()
            return (server, server.port)
        }.value
    }

    init(_ configuration: HTTPServerConfiguration = HTTPServerConfiguration(), _ routes: (inout Router) -> Void) async throws {
        var router = Router()
        routes(&router)
        try await self.init(configuration, admit: router.admit, handler: router.handler(log: Self.log, service: "test"))
    }

    static let log = Logger(service: "test", level: .error)

    func client(receiveBuffer: Int? = nil) -> RawClient { RawClient(port: port, receiveBuffer: receiveBuffer) }

    /// Says the bytes and reads until the connection ends or nothing has come for a while.
    func say(_ text: String, within milliseconds: Int32 = 1_000) -> (statuses: [Int], end: RawClient.End, text: String) {
        let client = client()
        client.send(text)
        let end = client.readToEnd(within: milliseconds)
        return (client.statuses, end, client.text)
    }
}

func get(_ target: String, _ headers: String = "") -> String { "GET \(target) HTTP/1.1\r\nHost: test\r\n\(headers)\r\n" }
func post(_ target: String, _ body: String, _ headers: String = "") -> String {
    "POST \(target) HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
}
