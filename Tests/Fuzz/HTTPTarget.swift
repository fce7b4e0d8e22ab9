import HTTPWire

/// The bytes of one connection. However they are cut, the same messages come of them, and what is
/// accepted keeps the rules of RFC 9112 and means the same when it is written again.
enum HTTPTarget {
    static func request(_ input: UnsafeRawBufferPointer) { run(.request, input) }
    static func response(_ input: UnsafeRawBufferPointer) { run(.response, input) }

    private static func run(_ kind: HTTPParser.Kind, _ input: UnsafeRawBufferPointer) {
        var random = InputRandom(input)
        let answersHead = kind == .response && Int.random(in: 0..<8, using: &random) == 0
        let whole = Connection(kind, answersHead, [input])
        var pieces: [UnsafeRawBufferPointer] = []
        var start = 0
        while start < input.count {
            let end = min(input.count, start + Int.random(in: 1...(1 + input.count / 4), using: &random))
            pieces.append(UnsafeRawBufferPointer(rebasing: input[start..<end]))
            start = end
        }
        let cut = Connection(kind, answersHead, pieces)
        check(cut == whole, "cut at \(pieces.map(\.count)): \(cut), at once: \(whole)")
        if input.count <= 256 {
            let bytes = input.indices.map { UnsafeRawBufferPointer(rebasing: input[$0..<$0 + 1]) }
            let single = Connection(kind, answersHead, bytes)
            check(single == whole, "byte by byte: \(single), at once: \(whole)")
        }
        guard kind == .request else { return }
        for message in whole.messages { message.checkRules() }
        for message in whole.messages where message.method != .other {
            let again = withCopy(of: message.written()) { Connection(kind, false, [$0]) }
            check(again.messages == [message] && !again.isRefused, "\(message) read again is \(again)")
        }
    }
}

/// Everything that a parser made of the bytes of a connection.
private struct Connection: Equatable {
    var messages: [Message] = []
    var isRefused = false
    /// The state and the body so far of a message that is not complete.
    var rest: HTTPParser.State?
    var body: [UInt8] = []

    /// Small, so that inputs of a few hundred bytes reach every limit.
    static let limits = HTTPParser.Limits(headBytesMax: 1_024, fieldsMax: 16, targetBytesMax: 128, bodyBytesMax: 512)

    private final class Body: HTTPBodyReceiver {
        var bytes: [UInt8] = []
        func receive(_ bytes: UnsafeRawBufferPointer) { self.bytes.append(contentsOf: bytes) }
    }

    init(_ kind: HTTPParser.Kind, _ answersHead: Bool, _ pieces: [UnsafeRawBufferPointer]) {
        let parser = HTTPParser(kind, limits: Self.limits)
        let receiver = Body()
        parser.answersHead = answersHead
        parser.receiver = receiver
        func takeIfComplete() {
            guard parser.state == .complete else { return }
            messages.append(Message(parser, receiver.bytes))
            receiver.bytes = []
            parser.next()
        }
        do throws(HTTPSyntaxError) {
            for piece in pieces {
                var read = 0
                while read < piece.count {
                    let rest = UnsafeRawBufferPointer(rebasing: piece[read...])
                    let result = withCopy(of: rest) { bytes in
                        Result { () throws(HTTPSyntaxError) in try parser.parse(bytes) }
                    }
                    let count = try result.get()
                    check(count > 0 && count <= rest.count, "\(count) of \(rest.count) bytes read")
                    read += count
                    takeIfComplete()
                }
            }
            if kind == .response {
                try parser.finish()
                takeIfComplete()
            }
            (rest, body) = (parser.state, receiver.bytes)
        } catch {
            isRefused = true
        }
    }
}

private struct Message: Equatable {
    let kind: HTTPParser.Kind
    let method: Method
    let status: Int
    let isHTTP11: Bool
    let keepsAlive: Bool
    let target: [UInt8]
    /// Lines as they are written again: `name: value` and CRLF.
    let fields: [[UInt8]]
    let hosts: Int
    let contentLength: Int?
    let isChunked: Bool
    let body: [UInt8]

    init(_ parser: HTTPParser, _ body: [UInt8]) {
        kind = parser.kind
        method = parser.method
        status = parser.status
        isHTTP11 = parser.isHTTP11
        keepsAlive = parser.keepsAlive
        target = parser.target
        fields = (0..<parser.headers.count).map { index in
            var line: [UInt8] = []
            parser.headers.write(at: index, to: &line)
            return line
        }
        hosts = parser.headers.strings(for: "host").count
        contentLength = parser.contentLength
        isChunked = parser.isChunked
        self.body = body
    }

    func checkRules() {
        check(target.first == UInt8(ascii: "/") || target == [UInt8(ascii: "*")] && method == .options, "target \(target)")
        check(target.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }, "target \(target)")
        check(target.count <= Connection.limits.targetBytesMax, "target of \(target.count) bytes")
        check(fields.count <= Connection.limits.fieldsMax, "\(fields.count) fields")
        check(hosts == 1 || hosts == 0 && !isHTTP11, "\(hosts) Host fields")
        check(!isChunked || contentLength == nil && isHTTP11, "two lengths")
        check(isChunked || body.count == contentLength ?? 0, "\(body.count) bytes of body, \(contentLength ?? 0) announced")
        check(body.count <= Connection.limits.bodyBytesMax, "body of \(body.count) bytes")
        for line in fields {
            check(line.count(where: { $0 == 0x0D || $0 == 0x0A }) == 2 && !line.contains(0), "a field of two lines: \(line)")
        }
    }

    /// The request in the plainest form that means the same.
    func written() -> [UInt8] {
        var bytes = Array("\(method.rawValue) ".utf8) + target + Array(" HTTP/1.\(isHTTP11 ? 1 : 0)\r\n".utf8)
        for line in fields { bytes += line }
        bytes.append("\r\n")
        guard isChunked else { return bytes + body }
        if !body.isEmpty {
            bytes.append(hex: body.count)
            bytes += Array("\r\n".utf8) + body + Array("\r\n".utf8)
        }
        return bytes + Array("0\r\n\r\n".utf8)
    }
}
