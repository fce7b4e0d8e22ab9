import EventLoop
import Foundation
import JSON
import TestSupport
import Testing

/// The whole gateway, started by the same tool that `make run` uses, with executables and ports of its own.
///
/// Started once, by the first suite that asks; `make test` stops it at the end. Suites run one after the other, and each leaves
/// every component running.
struct Stack: Sendable {
    enum Component: String, Sendable, CaseIterable {
        case postgres, rabbitmq, auth, ledger, billing, edge
        case simulator = "provider-simulator"
        case mailSink = "mail-sink"
        case stripeSimulator = "stripe-simulator"
        case proxy1 = "llm-proxy-1"
        case proxy2 = "llm-proxy-2"
    }

    let directory: String
    let tool: String

    /// The time to live of a hold, and the grace before an overdue hold ends. They are short, so
    /// that a crash test waits less than a minute for a hold to expire. The grace is longer than a
    /// reconnection to the broker: 15 s for the pause, 5 s for the attempt, and a report after 1.5
    /// s.
    static let holdTimeToLive = Duration.seconds(6)
    static let expiryGrace = Duration.seconds(25)

    /// The limit of the edge for an address other than 127.0.0.1.
    static let connectionsPerAddress = 8

    /// The token of the server `web-gateway`.
    static let serviceToken = "a-service-token-of-this-test-stack-only"

    static func shared() async throws -> Stack { try await starting.value }

    private static let starting = Task {
        let environment = ProcessInfo.processInfo.environment
        guard let tool = environment["STACK_TOOL"], let stacks = environment["TEST_STACKS"] else {
            throw Failure(description: "STACK_TOOL and TEST_STACKS are not set: run the tests by `make test`")
        }
        let stack = Stack(directory: stacks + "/system", tool: tool)
        try FileManager.default.createDirectory(atPath: stack.directory, withIntermediateDirectories: true)
        try stack.writeVariables()
        try await stack.run("up")
        return stack
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Writes the variables of the services. A service reads them at its next start.
    func writeVariables(_ further: [String] = []) throws {
        let variables = [
            "HOLD_TTL=\(Self.holdTimeToLive.components.seconds)s", "EXPIRY_GRACE=\(Self.expiryGrace.components.seconds)s",
            "WEB_GATEWAY_TOKEN=\(Self.serviceToken)", "REGISTER_BURST=1000000", "REGISTER_PER_SECOND_TOTAL=1000000",
            "REQUIRE_VERIFIED_EMAIL=off",
        ]
        try (variables + further + [""]).joined(separator: "\n").write(
            toFile: directory + "/local.env", atomically: true, encoding: .utf8)
    }

    // MARK: Verbs

    func kill(_ component: Component) async throws { try await run("kill", component.rawValue) }
    func start(_ component: Component) async throws { try await run("start", component.rawValue) }
    func stop(_ component: Component) async throws { try await run("stop", component.rawValue) }

    private func run(_ arguments: String...) async throws {
        let result = try await ChildProcess.run(
            "/usr/bin/env", ["bash", tool] + arguments,
            environment: [
                "STACK_DIR": directory, "PORT_BASE": ProcessInfo.processInfo.environment["TEST_STACK_PORT_BASE"] ?? "17100",
                "EDGE_CONNECTIONS_PER_ADDRESS": "\(Self.connectionsPerAddress)",
            ])
        guard result.status == 0 else {
            throw Failure(description: "stack.sh \(arguments.joined(separator: " ")): \(result.output.suffix(2_000))")
        }
    }

    // MARK: What stack.json says

    func description() throws -> JSONObject {
        try JSONObject(Array(Data(contentsOf: URL(filePath: directory + "/stack.json"))))
    }

    var edge: String { get throws { try description().string("edge") } }
    var simulator: String { get throws { try description().string("provider_simulator") } }
    var stripeSimulator: String { get throws { try description().string("stripe_simulator") } }
    var mailSink: String { get throws { try description().string("mail_sink") } }
    var databaseURL: String { get throws { try description().object("database").string("superuser_url") } }
    var adminEmail: String { get throws { try description().object("admin").string("email") } }
    var adminPassword: String { get throws { try description().object("admin").string("password") } }

    func url(of component: Component) throws -> String { try description().object("services").string(component.rawValue) }
    /// The address of `/livez`, `/readyz` and `/metrics` of a service.
    func health(of component: Component) throws -> String { try description().object("health").string(component.rawValue) }
    func pid(of component: Component) throws -> Int32 { Int32(try description().object("pids").integer(component.rawValue)) }

    func log(of component: Component) throws -> [String] {
        try String(contentsOfFile: directory + "/log/\(component.rawValue).log", encoding: .utf8).components(separatedBy: "\n")
    }
}
