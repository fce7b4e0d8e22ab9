import Foundation
import TestSupport
import Testing

extension SystemTests {
    /// The pages in Debian's chromium, driven by the Python programs in `browser/`. Each line of their
    /// output is a case.
    struct BrowserTests {
        @Test(arguments: ["flows", "flows-without-scripts"])
        func `a person uses the pages by keyboard only`(part: String) async throws {
            try await Gateway.run { gateway in try await Self.run(part, gateway) }
        }

        @Test func `the checks find a flaw of each kind`() async throws {
            try await Gateway.run { gateway in try await Self.run("flaws", gateway) }
        }

        /// In two widths, light and dark. `PICTURES` names a folder for a picture of each.
        @Test(arguments: ["pages-in-english", "pages-in-thai"])
        func `each page is accessible, in one language, and has the headers of a page`(part: String) async throws {
            try await Gateway.run { gateway in try await Self.run(part, gateway) }
        }

        @Test func `a new user confirms its address, calls a model by a key, connects a device and ends it`() async throws {
            try await Gateway.run { gateway in try await Self.run("first-day", gateway, ["REQUIRE_VERIFIED_EMAIL=on"]) }
        }

        /// To renew the pictures after a change of a page: `make pages`.
        @Test func `docs/pages has a picture of each page`() async throws {
            try await Gateway.run { gateway in try await Self.run("pictures", gateway) }
        }

        // MARK: Python

        private static let environment = Task {
            try await PythonEnvironment.make("browser", requirements: "browser/requirements.txt")
        }

        /// - Parameter settings: variables of auth.
        private static func run(_ part: String, _ gateway: Gateway, _ settings: [String] = []) async throws {
            let python = try await environment.value + "/bin/python"
            try await OpenIDMock.with(gateway, settings) { mock in
                let run = try await ChildProcess.run(
                    python, [PythonEnvironment.path(of: "browser/run.py"), part],
                    environment: [
                        "STACK": gateway.stack.directory + "/stack.json", "PROVIDER": mock.issuer, "PYTHONDONTWRITEBYTECODE": "1",
                    ])
                let lines = run.output.split(separator: "\n")
                let failed = lines.filter { $0.hasPrefix("failed ") }
                for line in failed { Issue.record("\(line.dropFirst(7))") }
                #expect(lines.contains { $0.hasPrefix("passed ") } || !failed.isEmpty, "\(run.output.suffix(4_000))")
                #expect((run.status == 0) == failed.isEmpty, "\(run.output.suffix(4_000))")
            }
        }
    }
}
