import EventLoop
import Glibc
import HTTPClient
import JSON
import TestSupport
import Testing

private let loop = EventLoop.spawn(name: "mail-sink-tests")

/// The promises of the mail sink: the tests of everything that sends mail stand on them.
@Suite(.timeLimit(.minutes(1)))
struct MailSinkTests {
    private let sink: MailSink
    private let client = HTTPClient(loop: loop)

    init() throws { sink = try MailSink() }

    // MARK: Talk

    /// Sends SMTP commands over one connection, then QUIT.
    /// - Returns: the reply codes after the greeting and that of EHLO, without that of QUIT.
    private func smtp(_ commands: [String]) -> [Int] {
        let connection = RawClient(port: sink.smtpPort)
        connection.send((["EHLO test"] + commands + ["QUIT", ""]).joined(separator: "\r\n"))
        #expect(connection.readToEnd(within: 30_000) == .closed)
        let lines = connection.text.split(separator: "\r\n").filter { $0.dropFirst(3).first == " " }
        return lines.compactMap { Int($0.prefix(3)) }.dropFirst(2).dropLast()
    }

    private func deliver(_ message: String, to recipients: [String]) -> [Int] {
        smtp(["MAIL FROM:<s@example.com>"] + recipients.map { "RCPT TO:<\($0)>" } + ["DATA", message, "."])
    }

    private func http(_ method: String, _ target: String) async throws -> ClientResponse {
        try await client.request(ClientRequest(method, "http://127.0.0.1:\(sink.httpPort)\(target)"))
    }

    private func messages(_ query: String = "") async throws -> [JSONObject] {
        let answer = try await http("GET", "/messages\(query)")
        #expect(answer.status == 200)
        #expect(answer.header("content-type") == "application/json")
        guard case .array(let messages) = try JSONValue(answer.body) else { return [] }
        return messages.compactMap { if case .object(let message) = $0 { message } else { nil } }
    }

    private func subjects(_ query: String = "") async throws -> [String] { try await messages(query).map { try $0.string("subject") } }

    // MARK: Messages

    @Test func `messages of a recipient are shown oldest first, and a deletion deletes all`() async throws {
        #expect(deliver("Subject: one\r\n\r\nx", to: ["a@example.com", "b@example.com"]) == [250, 250, 250, 354, 250])
        #expect(deliver("Subject: two\r\n\r\nx", to: ["A@Example.com"]) == [250, 250, 354, 250])
        #expect(deliver("Subject: three\r\n\r\nx", to: ["a+tag@example.com"]) == [250, 250, 354, 250])
        #expect(try await subjects("?to=a@example.com") == ["one", "two"])
        #expect(try await subjects("?to=a%40example.com") == ["one", "two"])
        #expect(try await subjects("?to=b@example.com") == ["one"])
        #expect(try await subjects("?to=a+tag@example.com") == ["three"])
        #expect(try await subjects("?to=a%2Btag@example.com") == ["three"])
        #expect(try await subjects("?to=nobody@example.com") == [])
        #expect(try await subjects() == ["one", "one", "two", "three"])
        #expect(try await http("DELETE", "/messages").status == 204)
        #expect(try await subjects() == [])
    }

    @Test func `links are the addresses of the text in their order, without the marks around them`() async throws {
        let text = """
            Open <https://a.example/x?y=1&z=%20>, or (http://b.example/), or "https://c.example/#d".
            ftp://no.example https://a.example/x!
            ..https://d.example
            """
        _ = deliver("Subject: links\r\n\r\n" + text.replacing("\n", with: "\r\n"), to: ["a@example.com"])
        let message = try #require(try await messages().first)
        #expect(try message.string("text") == text.replacing("..https", with: ".https") + "\n")
        let links = [
            "https://a.example/x?y=1&z=%20", "http://b.example/", "https://c.example/#d", "https://a.example/x", "https://d.example",
        ]
        #expect(try message.array("links").map(JSONTree.init) == links.map(JSONTree.string))
    }

    @Test func `a message without subject, of another kind or in broken bytes has an answer`() async throws {
        #expect(deliver("x", to: ["a@example.com"]) == [250, 250, 354, 250])
        #expect(deliver("Content-Type: text/html\r\n\r\n<p>", to: ["a@example.com"]) == [250, 250, 354, 250])
        #expect(deliver("Content-Type: text/plain; charset=none\r\n\r\nx", to: ["a@example.com"]) == [250, 250, 354, 554])
        #expect(deliver("Subject: =?UTF-8?B?//8=?=\r\n\r\nx", to: ["a@example.com"]) == [250, 250, 354, 250])
        #expect(try await messages().count == 3)
    }

    @Test func `the last thousand messages are kept`() async throws {
        let recipients = (0..<100).map { "a\($0)@example.com" }
        let commands = (0..<11).flatMap { number in
            ["MAIL FROM:<s@example.com>"] + recipients.map { "RCPT TO:<\($0)>" } + ["DATA", "Subject: \(number)\r\n\r\nx", "."]
        }
        #expect(smtp(commands).allSatisfy { $0 == 250 || $0 == 354 })
        let subjects = try await subjects()
        #expect(subjects.count == 1_000)
        #expect(subjects.first == "1" && subjects.last == "10")
    }

    @Test func `more than a mebibyte, and more than a hundred recipients, are refused`() async throws {
        let line = String(repeating: "x", count: 998)
        let large = Array(repeating: line, count: 1_049).joined(separator: "\r\n")
        #expect(deliver("Subject: large\r\n\r\n" + large, to: ["a@example.com"]) == [250, 250, 354, 552])
        let replies = deliver("Subject: many\r\n\r\nx", to: (0..<101).map { "a\($0)@example.com" })
        #expect(replies.suffix(4) == [250, 452, 354, 250])
        #expect(try await subjects() == Array(repeating: "many", count: 100))
    }

    @Test(arguments: [("reject", [250, 550]), ("later", [250, 451]), ("reject-content", [250, 250, 354, 554])])
    func `a recipient may ask for a refusal`(local: String, replies: [Int]) async throws {
        #expect(deliver("Subject: x\r\n\r\nx", to: ["\(local)@example.com"]).prefix(replies.count) == replies[...])
        #expect(try await messages().isEmpty)
    }

    // MARK: Requests

    @Test(arguments: [
        ("GET", "/livez", 200), ("GET", "/messages?", 200), ("GET", "/", 404), ("GET", "/messages/1", 404), ("DELETE", "/livez", 404),
        ("DELETE", "/messages?to=a@example.com", 404), ("POST", "/messages", 501), ("PUT", "/livez", 501), ("HEAD", "/messages", 501),
        ("GET", "/messages?to=", 400), ("GET", "/messages?to", 400), ("GET", "/messages?from=a@example.com", 400),
        ("GET", "/messages?to=a@example.com&to=b@example.com", 400), ("GET", "/messages?to=a@example.com&limit=1", 400),
        ("GET", "/messages?to=%FF", 400), ("GET", "/messages?&", 400),
    ])
    func `every request has an answer in JSON`(method: String, target: String, status: Int) async throws {
        let answer = try await http(method, target)
        #expect(answer.status == status)
        if status >= 400, method != "HEAD" { #expect(try !JSONObject(answer.body).string("error").isEmpty) }
    }

    @Test(arguments: [
        ("GET", "", 0, "", 400), ("GET / HTTP/9.9", "", 0, "", 505), ("GET / HTP", "", 0, "", 400),
        ("GET /", "x", 70_000, " HTTP/1.1", 414), ("GET / HTTP/1.1\r\n", "a: b\r\n", 200, "", 431),
        ("GET / HTTP/1.1\r\na: ", "x", 70_000, "", 431),
    ])
    func `a malformed request has an answer, and the sink serves the next`(
        start: String, part: String, times: Int, end: String, status: Int
    ) async throws {
        let connection = RawClient(port: sink.httpPort)
        connection.send(start + String(repeating: part, count: times) + end + "\r\n\r\n")
        connection.shutdownWrite()
        _ = connection.readToEnd()
        #expect(connection.text.hasPrefix("HTTP/1.0 \(status) "), "\(connection.text.prefix(200))")
        #expect(try await http("GET", "/livez").status == 200)
    }

    // MARK: The process

    @Test func `the sink listens on 127.0.0.1 only`() async throws {
        for port in [sink.httpPort, sink.smtpPort] {
            for host in ["127.0.0.2", "[::1]"] {
                let error = await #expect(throws: ClientError.self) {
                    try await client.request(ClientRequest("GET", "http://\(host):\(port)/livez"))
                }
                #expect(error?.code == .connectFailed)
            }
        }
    }

    @Test(arguments: [
        ("HTTP_PORT=x", "HTTP_PORT is 'x': give it a whole number from 0 to 65535"),
        ("SMTP_PORT=65536", "SMTP_PORT is '65536': give it a whole number from 0 to 65535"),
        ("SMTPS_PORT=0", "SMTPS_PORT is set: set TLS_CERTIFICATE too"),
        ("TLS_CERTIFICATE=/nonexistent", "TLS_CERTIFICATE and TLS_KEY must name a certificate and its key: No such file or directory"),
    ])
    func `a wrong variable ends the start with one line that names it`(variable: String, line: String) throws {
        let arguments = ["HTTP_PORT=0", "SMTP_PORT=0", variable, MailSink.program]
        let process = try PipedProcess(["/bin/sh", "-c", "exec /usr/bin/env \"$@\" 2>&1", "-"] + arguments)
        #expect(process.wait() == 1 << 8)
        #expect(process.readToEnd() == "mail-sink: \(line)\n")
    }

    @Test func `a taken port ends the start with one line`() throws {
        let arguments = ["HTTP_PORT=0", "SMTP_PORT=\(sink.smtpPort)", MailSink.program]
        let process = try PipedProcess(["/bin/sh", "-c", "exec /usr/bin/env \"$@\" 2>&1", "-"] + arguments)
        #expect(process.wait() == 1 << 8)
        let output = process.readToEnd()
        #expect(output.hasPrefix("mail-sink: ") && output.split(separator: "\n").count == 1, "\(output)")
    }
}

extension PipedProcess {
    /// Returns everything that the ended program wrote, of at most 64 KiB.
    fileprivate func readToEnd() -> String {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = read(output, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
