import Foundation
import HTTPClient
import JSON
import TestSupport
import Testing

extension SystemTests {
    /// The start of services: an error is named, and an unavailable dependency is waited for.
    struct StartTests {
        static let services = ["auth", "ledger", "billing", "llm-proxy"]

        static func program(_ name: String) throws -> String {
            guard let folder = ProcessInfo.processInfo.environment["STACK_BIN"] else {
                throw Stack.Failure(description: "STACK_BIN is not set: run the tests by `make test`")
            }
            return folder + "/" + name
        }

        @Test(arguments: services)
        func `a service without its variables exits with 1 and one line that names the first missing one`(service: String) async throws {
            let run = try await ChildProcess.run(try Self.program(service), [], clearingEnvironment: true)
            #expect(run.status == 1)
            let lines = run.output.split(separator: "\n")
            #expect(lines.count == 1, "\(run.output)")
            #expect(lines[0].hasPrefix("\(service): "))
            #expect(lines[0].contains(/[A-Z]+_[A-Z_]+.* is not set/), "\(lines[0])")
        }

        @Test(arguments: [
            ("HTTP_PORT", "80a"), ("HTTP_PORT", "70000"), ("HEALTH_PORT", "-1"), ("LOG_LEVEL", "loud"), ("SHUTDOWN_GRACE", "soon"),
            ("DATABASE_URL", "mysql://x"),
            ("AMQP_URL", "http://x"), ("PUBLIC_URL", "nowhere"),
        ])
        func `a malformed variable is named in one line, and no secret is shown`(variable: String, value: String) async throws {
            var environment = [
                "DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/x", "AMQP_URL": "amqp://u:hush@127.0.0.1:1/x", "HTTP_PORT": "0",
            ]
            environment[variable] = value
            let run = try await ChildProcess.run(try Self.program("billing"), [], environment: environment, clearingEnvironment: true)
            #expect(run.status == 1)
            #expect(run.output.split(separator: "\n").count == 1, "\(run.output)")
            #expect(run.output.contains(variable), "\(run.output)")
            #expect(!run.output.contains("hush"))
        }

        @Test(arguments: ["WEB_GATEWAY_TOKEN", "MCP_SERVER_TOKEN", "SERVICE_TOKENS"], ["auth", "ledger", "llm-proxy"])
        func `a service token that is too short stops the start and is not shown`(variable: String, service: String) async throws {
            let environment = [
                "DATABASE_URL": "postgresql://u@127.0.0.1:1/x", "AMQP_URL": "amqp://u:p@127.0.0.1:1/x", "HTTP_PORT": "0",
                "MASTER_KEY": "1:" + Data(repeating: 7, count: 32).base64EncodedString(), "SMTP_URL": "smtp://127.0.0.1:1",
                "MAIL_FROM": "no-reply@gateway.example",
                "PROVIDERS_FILE": TestDatabase.packageRoot + "/deploy/providers/simulator.json",
                variable: variable == "SERVICE_TOKENS" ? "n8n=hush" : "hush",
            ]
            let run = try await ChildProcess.run(try Self.program(service), [], environment: environment, clearingEnvironment: true)
            #expect(run.status == 1)
            let lines = run.output.split(separator: "\n")
            #expect(lines.count == 1, "\(run.output)")
            #expect(lines[0].hasPrefix("\(service): \(variable) "), "\(lines[0])")
            #expect(!run.output.contains("hush"))
        }

        @Test func `auth is ready only while it takes the questions of the other services`() async throws {
            try await Gateway.run { gateway in
                let answer = try await gateway.client.request(ClientRequest("GET", try gateway.stack.health(of: .auth) + "/readyz"))
                let dependencies = try JSONObject(answer.body).object("dependencies")
                #expect(try dependencies.string("broker:requests") == "up")
            }
        }

        @Test(arguments: [(Stack.Component.rabbitmq, "broker"), (.postgres, "database"), (.auth, "signing keys")])
        func `a service without its broker, its database or auth's keys runs, refuses callers, and serves when they are up`(
            server: Stack.Component, word: String
        ) async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let ports = try freePorts(2)
                func status(_ port: UInt16, _ path: String) async throws -> Int {
                    try await gateway.client.request(ClientRequest("GET", "http://127.0.0.1:\(port)\(path)")).status
                }
                let (port, health) = (ports[0], ports[1])
                try await stack.stop(server)
                let log = stack.directory + "/second-ledger-\(word).log"
                let ledger = try ChildProcess(
                    try Self.program("ledger"), [],
                    environment: [
                        "DATABASE_URL": try stack.description().object("database").string("ledger"),
                        "AMQP_URL": try stack.description().object("broker").string("ledger"), "HTTP_PORT": "\(port)",
                        "HEALTH_PORT": "\(health)", "PUBLIC_URL": try stack.edge,
                    ], output: log)
                do {
                    try await gateway.until("it lives without its \(word)") { (try? await status(health, "/livez")) == 200 }
                    #expect(try await status(health, "/readyz") == 503)
                    #expect((try? await status(port, "/livez")) == nil, "its serving port is closed")
                    try await gateway.until("it says so") {
                        try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
                            .contains { $0.contains(word) && $0.contains("waiting for dependency") }
                    }
                    try await stack.start(server)
                    try await gateway.until("it is ready", within: .seconds(40)) { try await status(health, "/readyz") == 200 }
                    #expect(try await status(port, "/livez") == 200)
                    // The ledger that was running when its server went is ready again too.
                    let other = try stack.health(of: .ledger)
                    try await gateway.until("the other is ready again", within: .seconds(40)) {
                        try await gateway.client.request(ClientRequest("GET", other + "/readyz")).status == 200
                    }
                } catch {
                    ledger.signal(SIGKILL)
                    ledger.wait()
                    throw error
                }
                ledger.signal(SIGTERM)
                #expect(ledger.wait() == 0, "it leaves properly")
            }
        }
    }
}
