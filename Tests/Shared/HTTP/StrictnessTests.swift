import HTTP
import HTTPWire
import TestSupport
import Testing

/// Raw bytes in, statuses out. The server understands a request in one way or refuses it. After a
/// refusal the connection ends, because the place of the next request is unknown.
struct StrictnessTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let statuses: [Int]
        var testDescription: String { name }

        init(_ name: String, _ text: String, _ statuses: Int...) {
            (self.name, bytes, self.statuses) = (name, Array(text.utf8), statuses)
        }
    }

    private static let body = #"{"model":"x","a":1}"#  // 19 bytes
    private static let chunk = "13\r\n\(body)\r\n"

    private static func post(_ fields: String, _ rest: String) -> String { "POST /echo HTTP/1.1\r\nHost: t\r\n\(fields)\r\n\r\n\(rest)" }
    private static func framed(_ host: String) -> String { "Host: \(host)\r\nContent-Length: 19\r\n\r\n\(body)" }
    private static func plain(_ fields: String = "") -> String { "GET /echo HTTP/1.1\r\nHost: t\r\n\(fields)\r\n" }

    private static let server = Task {
        try await TestServer { router in
            for method in [Method.get, .post, .options] {
                router.on(method, "/echo") { request in Response(status: 200, body: request.body) }
                router.on(method, "/livez") { _ in .text(200, "alive") }
            }
        }
    }

    static let refused = RefusedRequests().rows

    @Test func `the table has at least 150 kinds of requests, each under its own name`() {
        #expect(Self.refused.count >= 150)
        #expect(Set(Self.refused.map(\.name)).count == Self.refused.count)
    }

    @Test(arguments: refused)
    func `a request that the RFCs refuse is refused and the connection ends`(refused: RefusedRequest) async throws {
        let client = try await Self.server.value.client()
        client.send(refused.bytes)
        let end = client.readToEnd()
        #expect(client.statuses == [refused.status], "\(refused.rule)")
        #expect(end == .closed)
        let answer = try #require(client.answers.last)
        let body = String(decoding: answer.body, as: UTF8.self)
        #expect(answer.head.contains("\r\nconnection: close"))
        #expect(answer.head.contains("\r\nx-request-id: "))
        for key in ["message", "type", "code", "param"] { #expect(body.contains("\"\(key)\":")) }
    }

    @Test(arguments: refused.filter { $0.bytes.count < 1_000 })
    func `a refused request is also refused byte by byte`(refused: RefusedRequest) async throws {
        let client = try await Self.server.value.client()
        for byte in refused.bytes { client.send([byte]) }
        #expect(client.readToEnd() != .deadline)
        // A reset may overtake the answer of a server that was still being talked to; another answer may not.
        #expect(client.statuses == [refused.status] || client.statuses.isEmpty)
    }

    @Test func `a bad request after a good one is refused, and the good one is answered`() async throws {
        let client = try await Self.server.value.client()
        client.send(Self.plain() + "GET /echo HTTP/1.1\r\nHost : t\r\n\r\n")
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [200, 400])
    }

    @Test(arguments: [
        ("Host: \r\n", "Host"), ("Host: user@t\r\n", "Host"), ("Host: a,b\r\n", "Host"), ("Host: t/x\r\n", "Host"), ("", "Host"),
        ("Host: t\r\nTransfer-Encoding: gzip\r\n", "Transfer-Encoding"), ("Host: t\r\nContent-Length: 1, 1\r\n", "Content-Length"),
    ])
    func `a refusal names the field`(fields: String, name: String) async throws {
        let client = try await Self.server.value.client()
        client.send("GET /echo HTTP/1.1\r\n\(fields)\r\n")
        #expect(client.readToEnd() == .closed)
        #expect(client.text.contains("`\(name)`"), "\(client.text)")
    }

    @Test func `chunks that are mostly framing are refused`() async throws {
        let client = try await Self.server.value.client()
        client.send(Self.post("Transfer-Encoding: chunked", String(repeating: "1\r\na\r\n", count: 100_000) + "0\r\n\r\n"))
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [400])
    }

    @Test func `short chunks are accepted`() async throws {
        let server = try await TestServer { router in router.on(.post, "/echo") { request in .text(200, "\(request.body.count)") } }
        for (size, count) in [(1, 3_000), (3, 100_000)] {
            let chunk = "\(size)\r\n\(String(repeating: "a", count: size))\r\n"
            let client = server.client()
            client.send(Self.post("Transfer-Encoding: chunked", String(repeating: chunk, count: count) + "0\r\n\r\n"))
            client.read { !$0.answers.isEmpty }
            #expect(client.statuses == [200])
            #expect(client.answers.last.map { String(decoding: $0.body, as: UTF8.self) } == "\(size * count)")
        }
    }

    static let accepted: [Case] = [
        Case("a length", post("Content-Length: 19", body), 200),
        Case("chunks", post("Transfer-Encoding: chunked", chunk + "0\r\n\r\n"), 200),
        Case("chunks with an extension", post("Transfer-Encoding: chunked", "13;x=y\r\n\(body)\r\n0\r\n\r\n"), 200),
        Case("an extension without a value", post("Transfer-Encoding: chunked", "13;x\r\n\(body)\r\n0\r\n\r\n"), 200),
        Case("two extensions", post("Transfer-Encoding: chunked", "13;x=y;z\r\n\(body)\r\n0;x=\"\"\r\n\r\n"), 200),
        Case("an extension in quotes", post("Transfer-Encoding: chunked", "13;x=\"a \\\" é;b\";z=1\r\n\(body)\r\n0\r\n\r\n"), 200),
        Case("a chunk size with zeros and capitals", post("Transfer-Encoding: chunked", "0013\r\n\(body)\r\n000\r\n\r\n"), 200),
        Case("Chunked in capitals", post("Transfer-Encoding: CHUNKED", chunk + "0\r\n\r\n"), 200),
        Case("two pipelined", post("Content-Length: 19", body) + post("Content-Length: 19", body), 200, 200),
        Case(
            "five pipelined", String(repeating: post("Transfer-Encoding: chunked", chunk + "0\r\n\r\n"), count: 5), 200, 200, 200, 200, 200),
        Case("HTTP/1.0 kept alive", "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 19\r\n\r\n\(body)", 200),
        Case("Expect: 100-continue", post("Expect: 100-continue\r\nContent-Length: 19", body), 100, 200),
        Case("Upgrade: h2c", post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 19", body), 200),
        Case("empty lines before the request", "\r\n\r\n" + post("Content-Length: 19", body), 200),
        Case("white space around a value", post("Content-Length:    19  ", body), 200),
        Case("a target with every character of a query", "POST /echo?a=b&c=%41%20;$-_.+!*'(),:@/?~ HTTP/1.1\r\n" + framed("t"), 200),
        Case("Host with a port", "POST /echo HTTP/1.1\r\n" + framed("api.example-1_x.com.:8080"), 200),
        Case("Host with an empty port", "POST /echo HTTP/1.1\r\n" + framed("t:"), 200),
        Case("Host with an IPv4 address", "POST /echo HTTP/1.1\r\n" + framed("127.0.0.1:80"), 200),
        Case("Host with an IPv6 address", "POST /echo HTTP/1.1\r\n" + framed("[2001:db8::1]:65535"), 200),
        Case("no Host in HTTP/1.0", "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 19\r\n\r\n\(body)", 200),
        Case("an absolute target for its Host", "POST http://t/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 19\r\n\r\n\(body)", 200),
    ]

    @Test(arguments: accepted)
    func `a request with one meaning is answered and the connection stays`(accepted: Case) async throws {
        let client = try await Self.server.value.client()
        client.send(accepted.bytes)
        client.read { $0.statuses.count >= accepted.statuses.count }
        #expect(client.statuses == accepted.statuses)
        #expect(client.answers.allSatisfy { $0.status == 100 || String(decoding: $0.body, as: UTF8.self) == Self.body })
        client.send(Self.plain())
        client.read { $0.statuses.count > accepted.statuses.count }
        #expect(client.statuses == accepted.statuses + [200])
    }

    @Test(arguments: accepted)
    func `a valid request is also answered byte by byte`(accepted: Case) async throws {
        let client = try await Self.server.value.client()
        for byte in accepted.bytes { client.send([byte]) }
        client.read { $0.statuses.count >= accepted.statuses.count }
        #expect(client.statuses == accepted.statuses)
        #expect(client.answers.allSatisfy { $0.status == 100 || String(decoding: $0.body, as: UTF8.self) == Self.body })
    }

    @Test func `a body that grows beyond the limit in chunks is refused`() async throws {
        var configuration = HTTPServerConfiguration()
        configuration.bodyBytesMax = 1_000
        let server = try await TestServer(configuration) { router in router.on(.post, "/echo") { _ in .noContent } }
        let client = server.client()
        client.send(
            Self.post("Transfer-Encoding: chunked", String(repeating: "64\r\n\(String(repeating: "a", count: 100))\r\n", count: 11)))
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [413])
        #expect(client.text.contains(#""code":"payload_too_large""#))
        #expect(client.text.contains(#""limit":1000"#))
    }
}
