import Foundation
import HTTPClient
import Testing

extension SystemTests {
    /// How services start: what is wrong is named, what is away is waited for.
    struct StartTests {
        static let services = ["auth", "ledger", "billing", "llm-proxy"]

        static func program(_ name: String) throws -> String {
            guard let folder = ProcessInfo.processInfo.environment["STACK_BIN"] else {
                throw Stack.Failure(description: "STACK_BIN is not set: run the tests by `make test`")
            }
            return folder + "/" + name
        }

        @Test(arguments: services)
        func `without its variables a service exits with 1 and one line that names the first it misses`(service: String) async throws {
            let run = try await Stack.execute(try Self.program(service), [], clearingEnvironment: true)
            #expect(run.status == 1)
            let lines = run.output.split(separator: "\n")
            #expect(lines.count == 1, "\(run.output)")
            #expect(lines[0].hasPrefix("\(service): "))
            #expect(lines[0].contains(/[A-Z]+_[A-Z_]+.* is not set/), "\(lines[0])")
        }

        @Test(arguments: [
            ("HTTP_PORT", "80a"), ("HTTP_PORT", "70000"), ("LOG_LEVEL", "loud"), ("SHUTDOWN_GRACE", "soon"), ("DATABASE_URL", "mysql://x"),
            ("AMQP_URL", "http://x"), ("PUBLIC_URL", "nowhere"),
        ])
        func `a malformed variable is named in one line, and no secret is shown`(variable: String, value: String) async throws {
            var environment = [
                "DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/x", "AMQP_URL": "amqp://u:hush@127.0.0.1:1/x", "HTTP_PORT": "0",
            ]
            environment[variable] = value
            let run = try await Stack.execute(try Self.program("billing"), [], environment: environment, clearingEnvironment: true)
            #expect(run.status == 1)
            #expect(run.output.split(separator: "\n").count == 1, "\(run.output)")
            #expect(run.output.contains(variable), "\(run.output)")
            #expect(!run.output.contains("hush"))
        }

        @Test func `while the broker or the database is away a service is alive, not ready, and says so; then it is ready again`()
            async throws
        {
            try await Gateway.run { gateway in
                let ledger = try gateway.stack.url(of: .ledger)
                func status(_ path: String) async throws -> Int {
                    try await gateway.client.request(ClientRequest("GET", ledger + path)).status
                }
                for (server, word) in [(Stack.Component.rabbitmq, "broker"), (.postgres, "database")] {
                    try await gateway.stack.stop(server)
                    try await gateway.stack.stop(.ledger)
                    let stack = gateway.stack
                    async let starting: Void = stack.start(.ledger)
                    try await gateway.until("the ledger listens without its \(word)") {
                        (try? await status("/livez")) == 200
                    }
                    #expect(try await status("/readyz") == 503)
                    try await gateway.until("it says so") {
                        try gateway.stack.log(of: .ledger).suffix(300).contains { $0.contains(word) && $0.contains("waiting for dependency") }
                    }
                    try await gateway.stack.start(server)
                    try? await starting
                    try await gateway.until("it is ready", within: .seconds(40)) { (try? await status("/readyz")) == 200 }
                }
            }
        }
    }
}
