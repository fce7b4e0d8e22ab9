import Foundation
import HTTPClient
import JSON
import TestSupport
import Testing
import Values

extension SystemTests {
    /// Decisions of the edge itself. curl calls from addresses of the loopback network other than 127.0.0.1, which has no
    /// limits.
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
            let run = try await ChildProcess.run("/usr/bin/env", ["curl", "-sS", "--max-time", "60"] + arguments)
            guard run.status == 0 else { throw Stack.Failure(description: "curl \(arguments): \(run.output)") }
            return run.output
        }

        private func ask(_ url: String, from address: String = "127.0.0.1", _ arguments: String...) async throws -> Answer {
            try #require(Self.answers(in: try await curl(["-i", "--interface", address, url] + arguments)).first)
        }

        /// Returns the answers to requests that one connection sends one after the other.
        private func ask(_ count: Int, _ url: String, from address: String) async throws -> [Answer] {
            Self.answers(in: try await curl(["-i", "--interface", address, "\(url)?[1-\(count)]"]))
        }

        private static func answers(in text: String) -> [Answer] {
            text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { answer in
                let parts = answer.components(separatedBy: "\r\n\r\n")
                return Answer(status: Int(answer.prefix(3)) ?? 0, headers: parts[0], body: parts.dropFirst().joined())
            }
        }

        // MARK: Limits

        @Test(arguments: [
            ("/api/auth/me", 100, "127.0.0.2", 401), ("/v1/models", 500, "127.0.0.3", 401), ("/nothing", 500, "127.0.0.6", 404),
            ("/livez", 500, "127.0.0.7", 200),
        ])
        func `an address that sends too many requests a second gets 429, and this machine has no limit`(
            path: String, count: Int, address: String, status: Int
        ) async throws {
            try await Gateway.run { gateway in
                let url = try gateway.stack.edge + path
                var answers: [Answer] = []
                try await gateway.until("a request is refused") {
                    answers = try await ask(count, url, from: address)
                    return answers.contains { $0.status == 429 }
                }
                #expect(Set(answers.map(\.status)) == [status, 429])
                let refused = try #require(answers.first { $0.status == 429 })
                #expect(refused.header("retry-after") == "1")
                #expect(refused.header("content-type") == "application/json")
                #expect(UUIDv7(refused.header("x-request-id") ?? "") != nil)
                let error = try JSONObject(Array(refused.body.utf8)).object("error")
                #expect(try error.string("code") == "rate_limited")
                #expect(try error.string("type") == "rate_limit_error")
                #expect(try error.string("message").contains("at most 100; 10 to /api/auth/"))
                #expect(Set(try await ask(count, url, from: "127.0.0.1").map(\.status)) == [status])
            }
        }

        @Test func `an address has a limited number of connections with running requests`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register(credits: Credits(whole: 100))
                let before = try await gateway.simulatorStats()
                let url = try gateway.stack.edge + "/v1/chat/completions"
                let streams = try (0..<Stack.connectionsPerAddress).map { _ in
                    try ChildProcess(
                        "/usr/bin/curl",
                        [
                            "-sN", "--interface", "127.0.0.4", url, "-H", "authorization: Bearer \(account.token)",
                            "-H", "content-type: application/json", "-d", Gateway.chatBody(model: "sim-lasting", stream: true),
                        ], environment: [:], output: "/dev/null")
                }
                func endStreams() {
                    for stream in streams { stream.signal(SIGTERM) }
                    for stream in streams { stream.wait() }
                }
                do {
                    try await gateway.until("all streams run") {
                        try await gateway.simulatorStats().active >= before.active + Int64(streams.count)
                    }
                    let models = try gateway.stack.edge + "/v1/models"
                    let refused = try await ask(models, from: "127.0.0.4")
                    #expect(refused.status == 429)
                    #expect(refused.body.contains("This address has \(streams.count) connections with running requests"))
                    #expect(try await ask(models, from: "127.0.0.5").status == 401, "another address is free")
                    endStreams()
                    try await gateway.until("the address is free again") { try await ask(models, from: "127.0.0.4").status == 401 }
                } catch {
                    endStreams()
                    throw error
                }
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

        @Test(arguments: [("/livez", 200), ("/v1/models", 401), ("/api/auth/me", 401)])
        func `HTTP/1.0 may leave the Host out`(path: String, status: Int) async throws {
            let stack = try await Stack.shared()
            #expect(try await ask(stack.edge + path, from: "127.0.0.1", "-0", "-H", "Host:").status == status)
        }

        /// nginx cannot be told to refuse these forms. It reads the chunks itself and sends the service a length.
        @Test(arguments: ["2;", "2;=x", "2 ", "2\t"])
        func `a chunk size line that RFC 9112 forbids reaches no service`(line: String) async throws {
            let stack = try await Stack.shared()
            func answer(to line: String) async throws -> [Substring] {
                let head = #"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"#
                let body = #"Transfer-Encoding: chunked\r\n\r\n\#(line)\r\n{}\r\n0\r\n\r\n"#
                let output = try await Self.send(head + body, to: stack)
                return output.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("HTTP/1.1 ") || $0.hasPrefix("{") }
            }
            let plain = try await answer(to: "2")
            #expect(plain.count == 2)
            #expect(try await answer(to: line) == plain)
        }

        /// Sends bytes, written as for `printf`, on a connection of their own. Returns all that comes back.
        private static func send(_ text: String, to stack: Stack) async throws -> String {
            let port = try #require(stack.edge.split(separator: ":").last)
            let send = #"exec 3<>/dev/tcp/127.0.0.1/$1; printf "$2" >&3; timeout 30 cat <&3"#
            return try await ChildProcess.run("/usr/bin/env", ["bash", "-c", send, "-", "\(port)", text]).output
        }

        @Test(arguments: [
            ("/v1/models", 20), ("/api/llm/chat", 20), ("/v1/audio/x", 64), ("/v1/images/edits", 64), ("/v1/images/editsx", 20),
        ])
        func `a body beyond the limit of its path is refused by the edge, and a service answers before a body that is not`(
            path: String, limit: Int
        ) async throws {
            let stack = try await Stack.shared()
            func answer(to length: Int) async throws -> Answer? {
                let head = #"POST \#(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \#(length)\r\n\r\n"#
                return Self.answers(in: try await Self.send(head, to: stack)).first
            }
            let refusal = try #require(try await answer(to: limit << 20 + 1))
            #expect(refusal.status == 413)
            #expect(refusal.body.contains(#""code":"payload_too_large""#) && refusal.body.contains(#""limit":\#(limit << 20)"#))
            // The edge keeps other bodies, so only an upload has its answer before its body.
            guard limit == 64 else { return }
            #expect(try await [401, 404].contains(answer(to: limit << 20)?.status ?? 0))
        }

        @Test(.enabled(if: getuid() == 0, "needs root"))
        func `a start of the edge takes large bodies, even if another user owns the folder of an older start`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                try await stack.stop(.edge)
                try FileManager.default.setAttributes(
                    [.ownerAccountID: 65_534, .posixPermissions: 0o700], ofItemAtPath: stack.directory + "/run/edge/body")
                try await stack.start(.edge)
                #expect(try await askWithLargeBody(stack.edge + "/v1/models").status == 405)
            }
        }

        /// Sends a body that nginx keeps in a file.
        private func askWithLargeBody(_ url: String) async throws -> Answer {
            let half = String(repeating: " ", count: 100_000)
            return try await ask(url, from: "127.0.0.1", "-H", "Expect:", "-d", half, "-d", half)
        }

        // MARK: Log

        private static func log(of stack: Stack) -> String { stack.directory + "/log/edge-refusals.log" }

        private static func lines(of stack: Stack) throws -> [String] {
            try String(contentsOfFile: log(of: stack), encoding: .utf8).components(separatedBy: "\n")
        }

        @Test func `refusals are logged with their request id and without their query, and answers are not`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let served = try await ask(stack.edge + "/livez")
                #expect(served.status == 200)
                let refused = try await ask(stack.edge + "/nothing/here?token=hush")
                #expect(refused.status == 404)
                let id = try #require(refused.header("x-request-id"))
                func lines() throws -> [String] { try Self.lines(of: stack) }
                try await gateway.until("the refusal is logged") { try lines().contains { $0.contains(id) } }
                let line = try JSONObject(Array(try #require(try lines().first { $0.contains(id) }).utf8))
                #expect(try line.integer("http.status") == 404)
                #expect(try line.string("request") == "GET /nothing/here")
                #expect(try line.string("client.address") == "127.0.0.1")
                let answered = try #require(served.header("x-request-id"))
                #expect(try !lines().contains { $0.contains(answered) || $0.contains("hush") })
            }
        }

        @Test func `a long path is logged in a short line`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let refused = try await ask(stack.edge + "/" + String(repeating: "x", count: 30_000))
                let id = try #require(refused.header("x-request-id"))
                try await gateway.until("the refusal is logged") { try Self.lines(of: stack).contains { $0.contains(id) } }
                #expect(try Self.lines(of: stack).allSatisfy { $0.utf8.count <= 1_024 })
            }
        }

        @Test func `a full log takes no more lines, and the edge answers`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let log = try FileHandle(forUpdating: URL(filePath: Self.log(of: stack)))
                defer { try? log.close() }
                let full: UInt64 = 64 * 1_048_576
                // A hole, which takes no space.
                try log.truncate(atOffset: full)
                #expect(try await ask(stack.edge + "/nothing").status == 404)
                #expect(try await ask(stack.edge + "/nothing").status == 404)
                #expect(try log.seekToEnd() == full)
                try log.truncate(atOffset: 0)
                _ = try await ask(stack.edge + "/nothing")
                try await gateway.until("a refusal is logged") { try log.seekToEnd() > 0 }
            }
        }

        @Test func `no log holds a query, userinfo or a token in a path, also not of a request that fails at the edge`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let secret = "never-in-a-log"
                _ = try await Self.send(#"?token=\#(secret) HTTP/1.1\r\n\r\n"#, to: stack)
                for token in ["ssk_\(secret)", "eyJ.\(secret)"] {
                    _ = try await Self.send(#"GET /nothing/\#(token) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"#, to: stack)
                }
                _ = try await Self.send(#"GET http://u:\#(secret)@h/ HTTP/1.1\r\nHost: h\r\n\r\n"#, to: stack)
                _ = try await Self.send(#"GET /nothing#\#(secret) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"#, to: stack)
                _ = try await askWithLargeBody(stack.edge + "/v1/models?token=\(secret)")
                try await stack.stop(.auth)
                let refused = try await ask(stack.edge + "/api/keys?token=\(secret)")
                try await stack.start(.auth)
                #expect(refused.status == 503)
                let id = try #require(refused.header("x-request-id"))
                try await gateway.until("the last refusal is logged") { try Self.lines(of: stack).contains { $0.contains(id) } }
                let found = try await ChildProcess.run("/usr/bin/env", ["grep", "-rlaF", "-e", secret, stack.directory + "/log"])
                #expect(found.output == "" && found.status == 1)
            }
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
