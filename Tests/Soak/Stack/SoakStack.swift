import Foundation
import JSON

/// A stack of Postgres, RabbitMQ, two ledgers on the same database and queues, and auth, which
/// signs in the administrator who audits. `make run` uses the same tool.
struct SoakStack: Sendable {
    enum Component: String, Sendable, CaseIterable {
        case postgres, rabbitmq, auth, ledger
        case ledger2 = "ledger-2"

        static let ledgers = [ledger, ledger2]
    }

    /// The folder of its data, logs and `stack.json`.
    let directory: String
    /// The path of `deploy/local/stack.sh`.
    let tool: String
    /// The first of its ports.
    let portBase: String

    /// The ledgers' `EXPIRY_GRACE`. It is short, so that holds of dead calls end while a soak runs.
    static let expiryGrace = Duration.seconds(2)
    /// The token of the server `web-gateway`.
    static let serviceToken = "a-service-token-of-this-soak-only-0001"

    func up() async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let settings = """
            EXPIRY_GRACE=\(Self.expiryGrace.components.seconds)s
            EXPIRY_SWEEP_INTERVAL=200ms
            WEB_GATEWAY_TOKEN=\(Self.serviceToken)
            REGISTER_BURST=1000000
            REGISTER_PER_SECOND_TOTAL=1000000
            REQUIRE_VERIFIED_EMAIL=off

            """
        try settings.write(toFile: directory + "/local.env", atomically: true, encoding: .utf8)
        try await run("up")
    }

    func delete() async throws { try await run("delete") }
    func start(_ component: Component) async throws { try await run("start", component.rawValue) }
    /// Sends SIGTERM, or the equivalent signal of the component. Sends SIGKILL if the component
    /// does not end in time.
    func stop(_ component: Component) async throws { try await run("stop", component.rawValue) }
    func kill(_ component: Component) async throws { try await run("kill", component.rawValue) }

    func signal(_ component: Component, _ number: Int32) throws {
        guard Foundation.kill(try pid(of: component), number) == 0 else {
            throw SoakError(description: "no signal \(number) to \(component.rawValue): \(String(cString: strerror(errno)))")
        }
    }

    /// Sends a signal to a component and all its processes: each backend of Postgres has a session
    /// of its own.
    func signalAll(_ component: Component, _ number: Int32) throws {
        try signal(component, number)
        var parents = [try pid(of: component)]
        while let parent = parents.popLast() {
            let children = try Self.children(of: parent)
            // A process that ended meanwhile is no error.
            for child in children { _ = Foundation.kill(child, number) }
            parents += children
        }
    }

    private static func children(of parent: Int32) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { name in
            guard let pid = Int32(name), let stat = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
                let fields = stat.split(separator: ")").last?.split(separator: " "), fields.count > 1, Int32(fields[1]) == parent
            else { return nil }
            return pid
        }
    }

    func pid(of component: Component) throws -> Int32 {
        Int32(try description().object("pids").integer(component.rawValue))
    }

    /// - Parameter verb: the verb of the tool, and its component.
    private func run(_ verb: String...) async throws {
        let (status, output) = try await Program.run(
            ["bash", tool] + verb,
            environment: [
                "STACK_DIR": directory, "PORT_BASE": portBase,
                "STACK_COMPONENTS": Component.allCases.map(\.rawValue).joined(separator: " "),
            ])
        guard status == 0 else { throw SoakError(description: "stack.sh \(verb.joined(separator: " ")): \(output.suffix(2_000))") }
        if output.contains("did not stop within") { throw SoakError(description: "stack.sh \(verb.joined(separator: " ")): \(output)") }
    }

    // MARK: stack.json

    private func description() throws -> JSONObject {
        try JSONObject(Array(Data(contentsOf: URL(filePath: directory + "/stack.json"))))
    }

    var databaseURL: String { get throws { try description().object("database").string("superuser_url") } }
    func url(of component: Component) throws -> String { try description().object("services").string(component.rawValue) }
    /// - Parameter user: `url` is the administrator's.
    func broker(_ user: String) throws -> String { try description().object("broker").string(user) }
    var admin: (email: String, password: String) {
        get throws {
            let admin = try description().object("admin")
            return (try admin.string("email"), try admin.string("password"))
        }
    }
}
