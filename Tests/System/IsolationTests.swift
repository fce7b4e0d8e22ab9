import Foundation
import TestSupport
import Testing

extension SystemTests {
    /// A service cannot read the secrets of another on the same machine. Only root can give each
    /// service a user of its own.
    @Suite(.enabled(if: getuid() == 0, "needs root"))
    struct IsolationTests {
        private struct Program {
            var name: String
            var components: [Stack.Component]
            /// Names in the folder of the stack's secrets.
            var secrets: [String] = []
            /// The place of secrets that it makes itself.
            var state: String?
        }

        private static let programs = [
            Program(
                name: "auth", components: [.auth],
                secrets: ["postgres-auth", "amqp-auth", "master-key", "admin-password", "smtp-url"]),
            Program(name: "ledger", components: [.ledger], secrets: ["postgres-ledger", "amqp-ledger"]),
            Program(
                name: "billing", components: [.billing],
                secrets: ["postgres-billing", "amqp-billing", "stripe-secret-key", "stripe-webhook-secret"]),
            Program(name: "llm-proxy", components: [.proxy1, .proxy2], secrets: ["postgres-llm-proxy", "amqp-llm-proxy"]),
            Program(name: "provider-simulator", components: [.simulator]),
            Program(name: "mail-sink", components: [.mailSink]),
            Program(
                name: "stripe-simulator", components: [.stripeSimulator], secrets: ["stripe-webhook-secret"], state: "./stripe/"),
            Program(name: "edge", components: [.edge]),
        ]

        private static let takesServiceTokens = ["auth", "ledger", "billing", "llm-proxy"]

        @Test func `each service has a user of its own, and no server is root`() async throws {
            let stack = try await Stack.shared()
            let users = try Self.programs.map { program in
                let users = Set(try program.components.map { try Self.user(of: stack.pid(of: $0)) })
                #expect(users.count == 1, "\(program.name)")
                return try #require(users.first)
            }
            #expect(Set(users).count == Self.programs.count, "\(users)")
            for component in Stack.Component.allCases { #expect(try Self.user(of: stack.pid(of: component)) != 0, "\(component)") }
        }

        @Test func `no environment and no argument of any process holds a secret of the stack`() async throws {
            let stack = try await Stack.shared()
            let secrets = try Self.allSecrets(of: stack)
            for component in Stack.Component.allCases {
                for file in ["environ", "cmdline"] {
                    let path = "/proc/\(try stack.pid(of: component))/\(file)"
                    let text = try String(decoding: Data(contentsOf: URL(filePath: path)), as: UTF8.self)
                    if file == "cmdline" { #expect(!text.isEmpty, "\(component)") }
                    for (name, secret) in secrets where text.contains(secret) { Issue.record("\(component) \(file): \(name)") }
                }
            }
        }

        @Test func `a service's user finds its own secrets, and none of another service`() async throws {
            let stack = try await Stack.shared()
            let secrets = try Self.allSecrets(of: stack)
            for program in Self.programs {
                let user = try Self.user(of: stack.pid(of: program.components[0]))
                let own = secrets.filter {
                    program.secrets.contains($0.key) || ($0.key == "service token" && Self.takesServiceTokens.contains(program.name))
                }
                let places = try await Self.places(of: own, visibleTo: user, in: stack)
                let folders = program.state.map { [$0] } ?? program.components.map { "./run/secrets/\($0.rawValue)/" }
                // The search finds what the service itself can read, so it would find more.
                #expect(places.isEmpty == own.isEmpty, "\(program.name)")
                #expect(places.allSatisfy { place in folders.contains { place.hasPrefix($0) } }, "\(program.name): \(places)")
                let others = secrets.filter { own[$0.key] == nil }
                #expect(try await Self.places(of: others, visibleTo: user, in: stack) == [], "\(program.name)")
            }
        }

        @Test func `not even its own user reads the environment or the memory map of a service`() async throws {
            let stack = try await Stack.shared()
            func canRead(_ file: String, of component: Stack.Component) async throws -> Bool {
                let pid = try stack.pid(of: component)
                let run = try await Self.run(as: Self.user(of: pid), in: stack, "exec head -c 1 /proc/\(pid)/\(file)")
                return run.status == 0
            }
            // nginx has no secrets and does not hide.
            for file in ["environ", "maps"] { #expect(try await canRead(file, of: .edge), "\(file)") }
            for component in [Stack.Component.auth, .ledger, .billing, .proxy1, .proxy2] {
                for file in ["environ", "maps"] { #expect(try await !canRead(file, of: component), "\(component) \(file)") }
            }
        }

        // MARK: The machine

        /// Returns all secrets by name: the files of the stack and the token in its `local.env`.
        private static func allSecrets(of stack: Stack) throws -> [String: String] {
            let folder = stack.directory + "/secrets"
            var secrets = ["service token": Stack.serviceToken]
            for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
                let value = try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
                // The key of the simulated provider is a word.
                if value != "simulated" { secrets[name] = value }
            }
            for name in programs.flatMap(\.secrets) { #expect(secrets[name] != nil, "\(name)") }
            return secrets
        }

        /// Returns the real user id of a process.
        private static func user(of pid: Int32) throws -> Int {
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("Uid:") })
            return try #require(Int(line.split(separator: "\t")[1]))
        }

        /// Returns the files of the stack and of /proc in which the user can read one of the secrets.
        private static func places(of secrets: [String: String], visibleTo user: Int, in stack: Stack) async throws -> [String] {
            guard !secrets.isEmpty else { return [] }
            // The search reads them from a descriptor: its own arguments and environment are searched, too.
            let patterns = stack.directory + "/patterns"
            try Data().write(to: URL(filePath: patterns))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: patterns)
            try secrets.values.joined(separator: "\n").write(toFile: patterns, atomically: false, encoding: .utf8)
            defer { try? FileManager.default.removeItem(atPath: patterns) }
            let run = try await run(
                as: user, in: stack, "exec grep -rlaFs -f - . /proc/[0-9]*/environ /proc/[0-9]*/cmdline", input: patterns)
            return run.output.split(separator: "\n").map(String.init).sorted()
        }

        /// Runs a line of shell as the user, in the folder of the stack.
        private static func run(
            as user: Int, in stack: Stack, _ line: String, input: String = "/dev/null"
        ) async throws -> (status: Int32, output: String) {
            try await ChildProcess.run(
                "/usr/bin/env",
                [
                    "bash", "-c", #"cd "$1" && exec setpriv --reuid="$2" --regid="$2" --clear-groups bash -c "$3" <"$4""#, "-",
                    stack.directory, "\(user)", line, input,
                ])
        }
    }
}
