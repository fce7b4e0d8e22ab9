import HTTP
import HTTPWire
import Testing

/// Raw bytes in, statuses out. A request is understood in one way or refused, and
/// after a refusal the connection ends, because nobody knows any more where the next request would start.
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
    private static func plain(_ fields: String = "") -> String { "GET /echo HTTP/1.1\r\nHost: t\r\n\(fields)\r\n" }

    private static let server = Task {
        try await TestServer { router in
            for method in [Method.get, .post, .options] {
                router.on(method, "/echo") { request in Response(status: 200, body: request.body) }
            }
        }
    }

    static let refused: [Case] = [
        Case("Content-Length and Transfer-Encoding", post("Content-Length: 19\r\nTransfer-Encoding: chunked", chunk + "0\r\n\r\n"), 400),
        Case("Transfer-Encoding and Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 19", chunk + "0\r\n\r\n"), 400),
        Case("the same length twice", post("Content-Length: 19\r\nContent-Length: 19", body), 400),
        Case("two lengths", post("Content-Length: 19\r\nContent-Length: 5", body), 400),
        Case("a list of lengths", post("Content-Length: 19, 19", body), 400),
        Case("a length with a plus", post("Content-Length: +19", body), 400),
        Case("a negative length", post("Content-Length: -1", body), 400),
        Case("a hexadecimal length", post("Content-Length: 0x13", body), 400),
        Case("a length with a tail", post("Content-Length: 19abc", body), 400),
        Case("an empty length", post("Content-Length: ", body), 400),
        Case("a length with a space inside", post("Content-Length: 1 9", body), 400),
        Case("a length beyond 64 bits", post("Content-Length: 99999999999999999999", body), 400),
        Case("lines ended by LF alone", "POST /echo HTTP/1.1\nHost: t\nContent-Length: 19\n\n\(body)", 400),
        Case("one line ended by LF alone", "GET /echo HTTP/1.1\r\nHost: t\nX: y\r\n\r\n", 400),
        Case("an unknown transfer coding", post("Transfer-Encoding: xchunked", chunk + "0\r\n\r\n"), 400),
        Case("chunked, then identity", post("Transfer-Encoding: chunked, identity", chunk + "0\r\n\r\n"), 400),
        Case("gzip, then chunked", post("Transfer-Encoding: gzip, chunked", chunk + "0\r\n\r\n"), 400),
        Case("identity with a length", post("Transfer-Encoding: identity\r\nContent-Length: 19", body), 400),
        Case("Transfer-Encoding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunk + "0\r\n\r\n"), 400),
        Case("Transfer-Encoding in HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)0\r\n\r\n", 400),
        Case("a space before the colon", post("Content-Length : 19", body), 400),
        Case("a tab before the colon", post("Content-Length\t: 19", body), 400),
        Case("a vertical tab before chunked", post("Transfer-Encoding: \u{0B}chunked", chunk + "0\r\n\r\n"), 400),
        Case("a folded line", plain("X: a\r\n b\r\n"), 400),
        Case("a folded line after an empty value", plain("X:\r\n b\r\n"), 400),
        Case("a line that starts with a tab", plain("X: a\r\n\tb\r\n"), 400),
        Case("white space before the first field", "GET /echo HTTP/1.1\r\n Host: t\r\nHost: t\r\n\r\n", 400),
        Case("NUL in a value", plain("X: a\0b\r\n"), 400),
        Case("a control character in a value", plain("X: a\u{01}b\r\n"), 400),
        Case("a bare CR in a value", plain("X: a\rb\r\n"), 400),
        Case("a bare CR before a field", plain("X: a\r\rY: b\r\n"), 400),
        Case("a field without a colon", plain("X\r\n"), 400),
        Case("a field without a name", plain(": x\r\n"), 400),
        Case("a non-ASCII field name", plain("Xé: x\r\n"), 400),
        Case("a head of 100 KB", plain("X: \(String(repeating: "a", count: 100_000))\r\n"), 431),
        Case("300 fields", plain((0..<300).map { "X\($0): y\r\n" }.joined()), 431),
        Case("a target of 20 KB", "GET /\(String(repeating: "a", count: 20_000)) HTTP/1.1\r\nHost: t\r\n\r\n", 414),
        Case("a target of 100 KB", "GET /\(String(repeating: "a", count: 100_000)) HTTP/1.1\r\nHost: t\r\n\r\n", 414),
        Case("a chunk size beyond 64 bits", post("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\n\(body)"), 400),
        Case("a chunk ended by LF alone", post("Transfer-Encoding: chunked", "13\r\n\(body)\n0\r\n\r\n"), 400),
        Case("a chunk size ended by LF alone", post("Transfer-Encoding: chunked", "13\n\(body)\r\n0\r\n\r\n"), 400),
        Case("a hexadecimal prefix on a chunk size", post("Transfer-Encoding: chunked", "0x13\r\n\(body)\r\n0\r\n\r\n"), 400),
        Case("a chunk longer than its size", post("Transfer-Encoding: chunked", "5\r\n\(body)\r\n0\r\n\r\n"), 400),
        Case("an empty chunk size", post("Transfer-Encoding: chunked", "\r\n\(body)\r\n0\r\n\r\n"), 400),
        Case("a trailer field", post("Transfer-Encoding: chunked", chunk + "0\r\nContent-Length: 5\r\n\r\n"), 400),
        Case("no Host in HTTP/1.1", "GET /echo HTTP/1.1\r\n\r\n", 400),
        Case("two Hosts", "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        Case("the same Host twice", "GET /echo HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        Case("HTTP/3.7", "GET /echo HTTP/3.7\r\nHost: t\r\n\r\n", 400),
        Case("HTTP/1.2", "GET /echo HTTP/1.2\r\nHost: t\r\n\r\n", 400),
        Case("HTTP/0.9", "GET /echo HTTP/0.9\r\n\r\n", 400),
        Case("no version", "GET /echo\r\n\r\n", 400),
        Case("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        Case("garbage", "\u{16}\u{03}\u{01}garbage\r\n\r\n", 400),
        Case("an unknown method", "BREW /echo HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        Case("a method in lower case", "get /echo HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        Case("CONNECT", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", 400),
        Case("a target that is no path", "GET echo HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        Case("a target with a fragment", "GET /echo#x HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        Case("a non-ASCII target", "GET /écho HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        Case("two spaces before the version's end", "GET /echo HTTP/1.1 \r\nHost: t\r\n\r\n", 400),
        Case("an absolute target for another host", "GET http://other/echo HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        Case("a declared body of 20 MB", post("Content-Length: 20000000", ""), 413),
        Case("another expectation", post("Expect: 200-ok\r\nContent-Length: 19", body), 417),
        Case("a good request, then a bad one", plain() + "GET /echo HTTP/1.1\r\nHost : t\r\n\r\n", 200, 400),
    ]

    @Test(arguments: refused)
    func `a request with two meanings is refused and the connection ends`(refused: Case) async throws {
        let client = try await Self.server.value.client()
        client.send(refused.bytes)
        let end = client.readToEnd()
        #expect(client.statuses == refused.statuses)
        #expect(end == .closed)
        let answer = try #require(client.answers.last)
        let body = String(decoding: answer.body, as: UTF8.self)
        #expect(answer.head.contains("\r\nconnection: close"))
        #expect(answer.head.contains("\r\nx-request-id: "))
        for key in ["message", "type", "code", "param"] { #expect(body.contains("\"\(key)\":")) }
    }

    @Test(arguments: refused)
    func `it is refused as well when its bytes come one by one`(refused: Case) async throws {
        guard refused.bytes.count < 1_000 else { return }
        let client = try await Self.server.value.client()
        for byte in refused.bytes { client.send([byte]) }
        #expect(client.readToEnd() != .deadline)
        // A reset may overtake the answer of a server that was still being talked to; another answer may not.
        #expect(client.statuses == refused.statuses || client.statuses == refused.statuses.dropLast())
    }

    static let accepted: [Case] = [
        Case("a length", post("Content-Length: 19", body), 200),
        Case("chunks", post("Transfer-Encoding: chunked", chunk + "0\r\n\r\n"), 200),
        Case("chunks with an extension", post("Transfer-Encoding: chunked", "13;x=y\r\n\(body)\r\n0\r\n\r\n"), 200),
        Case("Chunked in capitals", post("Transfer-Encoding: CHUNKED", chunk + "0\r\n\r\n"), 200),
        Case("two pipelined", post("Content-Length: 19", body) + post("Content-Length: 19", body), 200, 200),
        Case(
            "five pipelined", String(repeating: post("Transfer-Encoding: chunked", chunk + "0\r\n\r\n"), count: 5), 200, 200, 200, 200, 200),
        Case("HTTP/1.0 kept alive", "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 19\r\n\r\n\(body)", 200),
        Case("Expect: 100-continue", post("Expect: 100-continue\r\nContent-Length: 19", body), 100, 200),
        Case("Upgrade: h2c", post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 19", body), 200),
        Case("empty lines before the request", "\r\n\r\n" + post("Content-Length: 19", body), 200),
        Case("white space around a value", post("Content-Length:    19  ", body), 200),
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
    func `it is answered as well when its bytes come one by one`(accepted: Case) async throws {
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
