import Contracts
import Foundation
import HTTPClient
import JSON
import TestSupport
import Testing

extension SystemTests {
    /// Schemathesis from PyPI, with all its checks, against the document of each service.
    ///
    /// `SCHEMATHESIS_EXAMPLES` is the number of random requests for each operation, 20 by default;
    /// `make test-long` sets 1,000. `SCHEMATHESIS_SEED` repeats a run.
    struct SchemathesisTests {
        /// A run with one credential.
        struct Run: CustomTestStringConvertible {
            let service: Stack.Component
            let document: String
            let caller: Caller
            /// Regular expressions over paths.
            var including = ".*"
            var excluding = "^/(readyz|metrics)$"

            enum Caller { case anonymous, user, admin, service }

            var testDescription: String { "\(service.rawValue) \(including) as \(caller)" }
        }

        static let runs = [
            // A logout ends the session, so it comes in a run of its own. The tool guesses passwords for
            // addresses that it finds in answers, which would keep the administrator from signing in.
            Run(
                service: .auth, document: "auth", caller: .user, excluding: "^/(readyz|metrics|api/auth/logout)$"),
            Run(service: .auth, document: "auth", caller: .user, including: "^/api/auth/logout$"),
            Run(service: .auth, document: "auth", caller: .admin, including: "^/api/admin/"),
            Run(service: .auth, document: "auth", caller: .service, including: "^/((api/auth/)?me|oauth/introspect)$"),
            Run(service: .ledger, document: "ledger", caller: .admin),
            Run(service: .ledger, document: "ledger", caller: .service, including: "^/api/credits/deduct$"),
            // The tool repeats names that it finds in answers: it would switch models and providers off, and call those that
            // fail on purpose. `AdminModelsTests` compares these answers with the document.
            Run(
                service: .proxy1, document: "llm-proxy", caller: .admin,
                excluding: "^/(readyz|metrics|api/admin/.*|api/v1/llm/providers.*)$"),
            Run(service: .proxy1, document: "llm-proxy", caller: .admin, including: "^/api/admin/pricing$"),
            Run(
                service: .proxy1, document: "llm-proxy", caller: .service,
                excluding: "^/(readyz|metrics|api/admin/.*|api/v1/llm/providers.*)$"),
            Run(service: .billing, document: "billing", caller: .anonymous, excluding: "^/(readyz|metrics|api/admin/.*)$"),
            Run(service: .billing, document: "billing", caller: .admin, including: "^/api/admin/"),
        ]

        @Test(arguments: runs)
        func `a service behaves as its document says`(_ run: Run) async throws {
            try await Gateway.run { gateway in
                let environment = ProcessInfo.processInfo.environment
                let seed = environment["SCHEMATHESIS_SEED"] ?? "\(Int.random(in: 1...1_000_000))"
                let document = TestDatabase.packageRoot + "/Services/\(run.document)/openapi.json"
                var arguments = [
                    "--config-file", PythonEnvironment.path(of: "schemathesis.toml"), "run", document, "--url",
                    try gateway.stack.url(of: run.service), "--phases", "examples,coverage,fuzzing", "--seed", seed, "--max-examples",
                    environment["SCHEMATHESIS_EXAMPLES"] ?? "20", "--include-path-regex", run.including, "--exclude-path-regex",
                    run.excluding, "--checks", "all", "--suppress-health-check", "all", "--request-timeout", "20", "--warnings", "off",
                    "--continue-on-failure", "--workers", "1",
                ]
                // A network of its own: the tool uses up the limits of user codes and device codes.
                for header in try await headers(of: run.caller, gateway) + ["X-Forwarded-For: 198.51.100.7"] {
                    arguments += ["--header", header]
                }
                let python = try await Self.environment.value
                let result = try await ChildProcess.run(python + "/bin/schemathesis", arguments, environment: ["PYTHONHASHSEED": "0"])
                #expect(result.status == 0, "SCHEMATHESIS_SEED=\(seed)\n\(result.output.suffix(6_000))")
                #expect(result.output.contains("No issues found"))
            }
        }

        private func headers(of caller: Run.Caller, _ gateway: Gateway) async throws -> [String] {
            switch caller {
            case .anonymous: []
            case .user: ["Authorization: Bearer \(try await gateway.register().token)"]
            case .admin: ["Authorization: Bearer \(try await gateway.adminToken())"]
            case .service: ["Authorization: Bearer \(Stack.serviceToken)", "x-on-behalf-of: \(try await gateway.register().id)"]
            }
        }

        private static let environment = Task { try await PythonEnvironment.make("schemathesis", requirements: "schemathesis.txt") }
    }
}
