import Contracts
import Foundation
import HTTPClient
import JSON
import Testing

extension SystemTests {
    /// Decisions of the edge itself.
    struct EdgeTests {
        struct Answer {
            var status: Int
            var headers: String
            var body: String

            func header(_ name: String) -> String? {
                headers.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix(name + ":") }
                    .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
            }
        }

        private func curl(_ arguments: [String]) async throws -> String {
            let run = try await Stack.execute("/usr/bin/env", ["curl", "-sS", "--max-time", "60"] + arguments)
            guard run.status == 0 else { throw Stack.Failure(description: "curl \(arguments): \(run.output)") }
            return run.output
        }

        private func ask(_ url: String, from address: String = "127.0.0.1", _ arguments: String...) async throws -> Answer {
            try #require(Self.answers(in: try await curl(["-i", "--interface", address, url] + arguments)).first)
        }

        private static func answers(in text: String) -> [Answer] {
            text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { answer in
                let parts = answer.components(separatedBy: "\r\n\r\n")
                return Answer(status: Int(answer.prefix(3)) ?? 0, headers: parts[0], body: parts.dropFirst().joined())
            }
        }

        // MARK: Refusals

        @Test(arguments: ["user@localhost", "user:password@127.0.0.1:80", "a/b", "a/", "a,b", "a, b", "a b", ":80", ""])
        func `a Host that is no name or address with a port is 400`(host: String) async throws {
            let stack = try await Stack.shared()
            let answer = try await ask(stack.edge + "/livez", from: "127.0.0.1", "-H", host.isEmpty ? "Host;" : "Host: \(host)")
            #expect(answer.status == 400)
            #expect(try JSONObject(Array(answer.body.utf8)).object("error").string("code") == "invalid_request")
        }

        @Test(arguments: ["Host: example.com", "Host: 127.0.0.1:8080", "Host: [::1]:80", "Host: my_host:", "Host: example.com."])
        func `a Host that is a name or address, with a port or without, is served`(header: String) async throws {
            let stack = try await Stack.shared()
            #expect(try await ask(stack.edge + "/livez", from: "127.0.0.1", "-H", header).status == 200)
        }

        @Test func `HTTP/1.0 may leave the Host out`() async throws {
            let stack = try await Stack.shared()
            #expect(try await ask(stack.edge + "/livez", from: "127.0.0.1", "-0", "-H", "Host:").status == 200)
        }

        /// nginx cannot be told to refuse these forms. It reads the chunks itself and sends the service a length.
        @Test(arguments: ["2;", "2;=x", "2 ", "2\t"])
        func `a chunk size line that RFC 9112 forbids reaches no service`(line: String) async throws {
            let stack = try await Stack.shared()
            func answer(to line: String) async throws -> [Substring] {
                let port = try #require(stack.edge.split(separator: ":").last)
                let head = #"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"#
                let body = #"Transfer-Encoding: chunked\r\n\r\n\#(line)\r\n{}\r\n0\r\n\r\n"#
                let send = #"exec 3<>/dev/tcp/127.0.0.1/$1; printf "$2" >&3; timeout 30 cat <&3"#
                let run = try await Stack.execute("/usr/bin/env", ["bash", "-c", send, "-", "\(port)", head + body])
                return run.output.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("HTTP/1.1 ") || $0.hasPrefix("{") }
            }
            let plain = try await answer(to: "2")
            #expect(plain.count == 2)
            #expect(try await answer(to: line) == plain)
        }

        // MARK: Request ids

        @Test func `the id that the edge gives a request is the conversation of its journal entries`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.chat(account, model: "sim-fast")
                try gateway.expect(answer, 200)
                let id = try #require(answer.header("x-request-id"))
                #expect(id.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}/) != nil, "\(id)")
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                #expect(try await gateway.conversations(of: account) == [id])
            }
        }
    }
}
