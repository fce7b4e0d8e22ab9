import TestSupport
import Testing

@testable import HTTPWire

struct HeaderBlockTests {
    @Test func `names compare without case, and values are returned as given`() {
        var headers: HeaderBlock = ["Content-Type": "text/plain", "x-twice": "one"]
        headers.add("X-Twice", "two")
        headers.add("x-number", -42)
        #expect(headers.string(for: "content-type") == "text/plain")
        #expect(headers.strings(for: "x-twice") == ["one", "two"])
        #expect(headers.string(for: "X-NUMBER") == "-42")
        #expect(headers.find("content-typ") == nil)
        headers.set("x-twice", "three")
        #expect(headers.strings(for: "x-twice") == ["three"])
    }

    @Test func `a value cannot start a header of its own`() {
        let text: String = "a\r\nset-cookie: b\0c"
        var headers = HeaderBlock()
        headers.add("location", text)
        var output: [UInt8] = []
        headers.write(at: 0, to: &output)
        #expect(String(decoding: output, as: UTF8.self) == "location: a  set-cookie: b c\r\n")
    }

    @Test func `fields of one connection are not copied to the next`() {
        let headers: HeaderBlock = [
            "Connection": "close", "Keep-Alive": "1", "TE": "trailers", "Trailer": "x", "Transfer-Encoding": "chunked", "Upgrade": "h2c",
            "Proxy-Connection": "close", "Content-Length": "1", "Expect": "100-continue", "Authorization": "kept",
        ]
        var output: [UInt8] = []
        headers.writeEndToEnd(to: &output)
        #expect(String(decoding: output, as: UTF8.self) == "Authorization: kept\r\n")
    }
}

struct ByteWritingTests {
    @Test(arguments: [0, 1, 9, 10, 99, 100, 65_535, -1, Int.max, Int.min])
    func `decimal digits are those of the number`(number: Int) {
        var bytes: [UInt8] = []
        bytes.append(decimal: number)
        #expect(String(decoding: bytes, as: UTF8.self) == "\(number)")
    }

    @Test(arguments: [0, 1, 15, 16, 255, 256, 65_536, Int.max])
    func `hexadecimal digits are those of the number`(number: Int) {
        var bytes: [UInt8] = []
        bytes.append(hex: number)
        #expect(String(decoding: bytes, as: UTF8.self) == String(number, radix: 16))
    }
}

struct HTTPParserTests {
    private final class Body: HTTPBodyReceiver {
        var bytes: [UInt8] = []
        func receive(_ bytes: UnsafeRawBufferPointer) { self.bytes.append(contentsOf: bytes) }
    }

    private struct Parsed: Equatable {
        var messages: [String] = []
        var error: HTTPSyntaxError?
    }

    /// Feeds the pieces and describes every message that came of them.
    private func parse(_ kind: HTTPParser.Kind, _ pieces: [[UInt8]], ends: Bool = false, answersHead: Bool = false) -> Parsed {
        let parser = HTTPParser(kind)
        parser.answersHead = answersHead
        let body = Body()
        parser.receiver = body
        var parsed = Parsed()
        func takeIfComplete() {
            guard parser.state == .complete else { return }
            let start = kind == .request ? "\(parser.method) \(String(decoding: parser.target, as: UTF8.self))" : "\(parser.status)"
            let fields = parser.headers.pairs.map { "\($0.name)=\($0.value)" }.joined(separator: ";")
            parsed.messages.append("\(start) [\(fields)] \(String(decoding: body.bytes, as: UTF8.self)) keep=\(parser.keepsAlive)")
            body.bytes = []
            parser.next()
        }
        do throws(HTTPSyntaxError) {
            for piece in pieces {
                var rest = piece[...]
                while !rest.isEmpty {
                    let bytes = Array(rest)
                    let result: Result<Int, HTTPSyntaxError> = bytes.withUnsafeBytes { buffer in
                        Result { () throws(HTTPSyntaxError) in try parser.parse(buffer) }
                    }
                    rest = rest.dropFirst(try result.get())
                    takeIfComplete()
                }
            }
            if ends {
                try parser.finish()
                takeIfComplete()
            }
        } catch {
            parsed.error = error
        }
        return parsed
    }

    private static let requests = Array(
        "\r\nPOST /a?b HTTP/1.1\r\nHost: [::1]:80\r\nX-Long: some value \r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1;f=\"a \\\"b\";g\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n"
            .utf8)

    @Test func `a stream gives the same messages wherever it is cut`() {
        let whole = parse(.request, [Self.requests])
        #expect(
            whole.messages == [
                "post /a?b [Host=[::1]:80;X-Long=some value;X-Empty=;Transfer-Encoding=chunked] hello! keep=true", "get / []  keep=false",
            ])
        for cut in 1..<Self.requests.count {
            #expect(parse(.request, [Array(Self.requests[..<cut]), Array(Self.requests[cut...])]) == whole, "cut at \(cut)")
        }
        #expect(parse(.request, Self.requests.map { [$0] }) == whole)
    }

    @Test func `a response without a length ends with its connection, one with a length must not`() {
        let open = Array("HTTP/1.1 200 OK\r\n\r\nuntil the end".utf8)
        #expect(parse(.response, [open], ends: true).messages == ["200 [] until the end keep=false"])
        let short = Array("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".utf8)
        #expect(parse(.response, [short], ends: true).error == .endedEarly)
        let cut = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".utf8)
        #expect(parse(.response, [cut], ends: true).error == .endedEarly)
    }

    @Test func `an answer to HEAD has no body, with any fields`() {
        let bytes = Array("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".utf8)
        #expect(parse(.response, [bytes], answersHead: true).messages == ["200 [Content-Length=10]  keep=true"])
    }

    @Test func `a provider's trailer fields are dropped`() {
        let bytes = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: y\r\n\r\n".utf8)
        #expect(parse(.response, [bytes]).messages == ["200 [Transfer-Encoding=chunked] ok keep=true"])
    }

    @Test func `a provider may stream one byte in a chunk`() {
        let body = String(repeating: "1\r\nq\r\n", count: 100_000)
        let bytes = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(body)0\r\n\r\n".utf8)
        let parsed = parse(.response, [bytes])
        #expect(parsed.error == nil)
        #expect(parsed.messages.first?.count { $0 == "q" } == 100_000)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: t\r\n\r\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\rHELLO\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\rX0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\n\rX\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\rXhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\nb\r\nhello\r\n0\r\n\r\n",
    ])
    func `line ends that http_parser does not check are checked`(request: String) {
        for cut in [Array(request.utf8).count, 1] {
            let bytes = Array(request.utf8)
            let pieces = stride(from: 0, to: bytes.count, by: cut).map { Array(bytes[$0..<min($0 + cut, bytes.count)]) }
            let parsed = parse(.request, pieces)
            #expect(parsed.error != nil && parsed.messages.isEmpty, "\(parsed)")
        }
    }

    @Test func `a NUL in a field value is refused, in requests and in responses`() {
        let request = Array("GET / HTTP/1.1\r\nHost: t\r\nX: \0b\r\n\r\n".utf8)
        #expect(parse(.request, [request]).error != nil)
        let response = Array("HTTP/1.1 200 OK\r\nX: \0b\r\nContent-Length: 0\r\n\r\n".utf8)
        #expect(parse(.response, [response]).error != nil)
    }

    @Test func `a damaged request is never read as two and does not crash the parser`() {
        let seed = drawSeed()
        var state = seed
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for _ in 0..<2_000 {
            // A good request with a few bytes changed: most are refused, none may be taken for two.
            var bytes = Array("POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello".utf8)
            for _ in 0..<(1 + next() % 4) { bytes[Int(next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: next()) }
            let parsed = parse(.request, [bytes])
            #expect(parsed.messages.count <= 1, "seed \(seed)")
        }
    }
}
