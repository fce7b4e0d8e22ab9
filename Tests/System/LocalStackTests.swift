import Configuration
import Foundation
import HTTPClient
import JSON
import SMTP
import TestSupport
import Testing
import Values

extension SystemTests {
    /// The scripts of the local stack.
    struct LocalStackTests {
        @Test func `a template gets the value as it is`() async throws {
            let tool = try #require(ProcessInfo.processInfo.environment["STACK_TOOL"], "run the tests by `make test`")
            let template = tool.replacing("stack.sh", with: "lib/template.sh")
            let value = #"a&b\&c*?$d"#
            let run = try await ChildProcess.run(
                "/usr/bin/env", ["bash", "-c", #"source "$1"; fill <(echo 'before ${NAME} after') "NAME=$2""#, "-", template, value])
            #expect(run.output == "before \(value) after\n")
        }

        @Test(arguments: [
            ("EDGE_CONNECTIONS_PER_ADDRESS", 65_535), ("EDGE_REQUESTS_PER_SECOND", 999_999), ("EDGE_AUTH_REQUESTS_PER_SECOND", 999_999),
        ])
        func `a limit that is no number or too large is named in one line, and nothing starts`(variable: String, max: Int) async throws {
            let tool = try #require(ProcessInfo.processInfo.environment["STACK_TOOL"], "run the tests by `make test`")
            let stacks = try #require(ProcessInfo.processInfo.environment["TEST_STACKS"])
            for value in ["0", "many", "\(max + 1)", "-1"] {
                let run = try await ChildProcess.run(
                    "/usr/bin/env", ["bash", tool, "up"],
                    environment: ["STACK_DIR": stacks + "/limits", "STACK_COMPONENTS": "edge", variable: value])
                #expect(run.status == 1)
                #expect(run.output == "stack: \(variable) is '\(value)': give it a whole number from 1 to \(max)\n")
            }
        }

        @Test func `a mail server without a sender is named in one line, and nothing starts`() async throws {
            let tool = try #require(ProcessInfo.processInfo.environment["STACK_TOOL"], "run the tests by `make test`")
            let stacks = try #require(ProcessInfo.processInfo.environment["TEST_STACKS"])
            let run = try await ChildProcess.run(
                "/usr/bin/env", ["bash", tool, "up"],
                environment: ["STACK_DIR": stacks + "/sender", "STACK_COMPONENTS": "edge", "SMTP_URL": "smtp://user:hush@mail.example.com"])
            #expect(run.status == 1)
            #expect(run.output == "stack: SMTP_URL is set: set MAIL_FROM too, to an address that its server may send from\n")
        }

        @Test func `a mail to the server that auth is given reaches the sink that stack.json names`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let url = try String(contentsOfFile: stack.directory + "/run/secrets/auth/SMTP_URL", encoding: .utf8)
                let configuration = try SMTPConfiguration(Environment(["SMTP_URL": url, "MAIL_FROM": "no-reply@smartspec.local"]))
                let recipient = "\(UUIDv7.make())@example.com"
                let text = "Open https://example.com/x"
                let message = try MailMessage(id: .make(), date: .now(), recipient: recipient, subject: "Sink", text: text)
                #expect(try await SMTPClient(configuration).send(message) == .accepted(reply: 250))
                let answer = try await gateway.client.request(ClientRequest("GET", stack.mailSink + "/messages?to=" + recipient))
                #expect(answer.status == 200)
                let shown = #"[{"to":"\#(recipient)","subject":"Sink","text":"\#(text)","links":["https://example.com/x"]}]"#
                #expect(try JSONTree(JSONValue(answer.body)) == JSONTree(JSONValue(Array(shown.utf8))))
            }
        }

        @Test func `a folder that is a symbolic link is refused in one line`() async throws {
            let tool = try #require(ProcessInfo.processInfo.environment["STACK_TOOL"], "run the tests by `make test`")
            let link = try #require(ProcessInfo.processInfo.environment["TEST_STACKS"]) + "/link"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/nonexistent")
            defer { try? FileManager.default.removeItem(atPath: link) }
            for path in [link, link + "/"] {
                let run = try await ChildProcess.run("/usr/bin/env", ["bash", tool, "folder"], environment: ["STACK_DIR": path])
                #expect(run.status == 1)
                #expect(run.output == "stack: STACK_DIR is \(path), a symbolic link: give the folder itself\n")
            }
        }

        @Test(arguments: [
            ("10s", "", 40), ("1m", "30s", 120), ("1h", "5m", 3_930), ("1500ms", "", 32), ("08s", "0s", 38), ("soon", "-1s", 30),
        ])
        func `a service gets its own time to stop before it is killed`(grace: String, delay: String, seconds: Int) async throws {
            let tool = try #require(ProcessInfo.processInfo.environment["STACK_TOOL"], "run the tests by `make test`")
            let run = try await ChildProcess.run(
                "/usr/bin/env",
                ["bash", "-euc", #"source "$1"; stop_seconds"#, "-", tool.replacing("stack.sh", with: "lib/services.sh")],
                environment: ["SHUTDOWN_GRACE": grace, "SHUTDOWN_DELAY": delay])
            #expect(run.output == "\(seconds)\n")
        }

        @Test func `the stack keeps how long a started service may take to stop`() async throws {
            let stack = try await Stack.shared()
            #expect(try String(contentsOfFile: stack.directory + "/run/ledger.stop", encoding: .utf8) == "40\n")
        }

        @Test func `the address of the collector, which may hold a password, reaches a service as a file`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let file = stack.directory + "/local.env"
                let settings = try String(contentsOfFile: file, encoding: .utf8)
                let address = "http://user:password@127.0.0.1:1/"
                try await stack.stop(.billing)
                try (settings + "OTEL_EXPORTER_OTLP_ENDPOINT=\(address)\n").write(toFile: file, atomically: false, encoding: .utf8)
                try await stack.start(.billing)
                let given = stack.directory + "/run/secrets/billing/OTEL_EXPORTER_OTLP_ENDPOINT"
                #expect((try? String(contentsOfFile: given, encoding: .utf8)) == address)
                try await stack.stop(.billing)
                try settings.write(toFile: file, atomically: false, encoding: .utf8)
                try await stack.start(.billing)
            }
        }

        @Test func `a start closes local.env to other users`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let file = stack.directory + "/local.env"
                try await stack.stop(.billing)
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
                try await stack.start(.billing)
                #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
            }
        }
    }
}
