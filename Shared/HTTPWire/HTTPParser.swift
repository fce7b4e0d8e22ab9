import CHTTPParser
import Glibc

/// Takes body bytes as they are parsed. They lie in the read buffer: valid until the call returns.
package protocol HTTPBodyReceiver: AnyObject {
    func receive(_ bytes: UnsafeRawBufferPointer)
}

/// Cuts a byte stream into HTTP/1.x messages: http_parser's grammar plus the checks it leaves out, so that a message that
/// could be read in two ways is refused (RFC 9112 §6.3, §11.2).
///
/// Feed it with ``parse(_:)`` and look at ``state`` after each call; at `.complete`, take what is needed and call ``next()``.
/// An error is final. Confined to its owner's loop; a receiver may call ``stop()`` in the middle of a parse.
package final class HTTPParser {
    package enum Kind: Sendable { case request, response }

    package enum State: Sendable {
        case head
        /// The head is complete, body bytes may follow.
        case body
        case complete
    }

    package struct Limits: Sendable {
        package var headBytesMax: Int
        package var fieldsMax: Int
        package var targetBytesMax: Int
        package var bodyBytesMax: Int

        package init(headBytesMax: Int = 32 << 10, fieldsMax: Int = 128, targetBytesMax: Int = 8 << 10, bodyBytesMax: Int = .max) {
            self.headBytesMax = headBytesMax
            self.fieldsMax = fieldsMax
            self.targetBytesMax = targetBytesMax
            self.bodyBytesMax = bodyBytesMax
        }
    }

    package let kind: Kind
    package let limits: Limits

    package var state: State { message.state }

    // Known once the state is past `.head`.
    package var method: Method { message.method }
    package var status: Int { message.status }
    package var isHTTP11: Bool { message.isHTTP11 }
    /// In origin form (`/path?query`) or `*`: an absolute-form target has lost its scheme and authority.
    package var target: [UInt8] { message.target }
    package var headers: HeaderBlock { message.headers }
    /// Nil when the length is not declared: chunked, ended by close, or no body at all.
    package var contentLength: Int? { message.contentLength }
    package var isChunked: Bool { message.isChunked }
    /// True if version and `Connection` keep the connection open after this message (RFC 9112 §9.3).
    package var keepsAlive: Bool { message.keepsAlive }

    // Exclusivity is unchecked: only the owner's loop has access, and no access spans a call of the receiver or of http_parser.

    /// Set before the head of a response to HEAD is parsed: no body follows whatever its fields say.
    @exclusivity(unchecked) package var answersHead = false

    /// Told of every body byte; owned by the caller, who outlives this parser's use.
    @exclusivity(unchecked) package unowned(unsafe) var receiver: (any HTTPBodyReceiver)?

    private let raw = UnsafeMutablePointer<http_parser>.allocate(capacity: 1)
    @exclusivity(unchecked) private var message: Message

    /// The state of the message that is being parsed.
    private struct Message {
        var state = State.head
        var method = Method.other
        var status = 0
        var isHTTP11 = true
        var target: [UInt8] = []
        var headers = HeaderBlock()
        var contentLength: Int?
        var isChunked = false
        var keepsAlive = false

        var scanner = HeadScanner()
        var chunks = ChunkScanner()
        var failure: HTTPSyntaxError?
        var inValue = false
        var bodyCount = 0
        var bodyBytesMax: Int

        /// The bytes of a method that came in several pieces.
        var methodStart: [UInt8] = []
        var methodIsComplete = false
        /// The length of a method that http_parser does not know.
        var unknownMethodCount: Int?

        init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }
    }

    package init(_ kind: Kind, limits: Limits = Limits()) {
        self.kind = kind
        self.limits = limits
        message = Message(bodyBytesMax: limits.bodyBytesMax)
        http_parser_init(raw, kind == .request ? HTTP_REQUEST : HTTP_RESPONSE)
        raw.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { raw.deallocate() }

    /// True once a byte of the current message has been seen.
    package var hasBegun: Bool { message.scanner.count > 0 }

    /// Consumes bytes up to the next change of ``state``, and answers how many.
    package func parse(_ input: UnsafeRawBufferPointer) throws(HTTPSyntaxError) -> Int {
        switch state {
        case .head:
            let count = try message.scanner.scan(input)
            let head = UnsafeRawBufferPointer(rebasing: input[..<count])
            let used = kind == .request ? try executeRequestHead(head) : try execute(head)
            if message.scanner.count > limits.headBytesMax {
                throw kind == .request && headers.isEmpty ? .targetTooLong : .headTooLarge
            }
            // http_parser is built lenient: it takes CR CR for the end of a head.
            guard message.scanner.isComplete == (state != .head), used == count else {
                throw .malformed("no agreement on where the head ends")
            }
            return count
        case .body:
            let used = try execute(input)
            if isChunked, kind == .request { try message.chunks.scan(UnsafeRawBufferPointer(rebasing: input[..<used])) }
            return used
        case .complete:
            return 0
        }
    }

    /// The stream has ended: legal between messages and at the end of a response that close delimits.
    package func finish() throws(HTTPSyntaxError) {
        guard state == .body || hasBegun, state != .complete else { return }
        try execute(UnsafeRawBufferPointer(start: nil, count: 0))
        guard state == .complete else { throw .endedEarly }
    }

    /// Makes ready for the next message on the same connection.
    package func next() {
        precondition(state == .complete, "a message is still being parsed")
        message = Message(bodyBytesMax: limits.bodyBytesMax)
        http_parser_init(raw, kind == .request ? HTTP_REQUEST : HTTP_RESPONSE)
    }

    /// Limits the body of the current message, once its head is parsed. A body that passes the limit
    /// is refused with `.bodyTooLarge`.
    /// - Returns: false if the declared length is beyond the limit.
    package func limitBody(to bytesMax: Int) -> Bool {
        message.bodyBytesMax = min(limits.bodyBytesMax, bytesMax)
        return (contentLength ?? 0) <= message.bodyBytesMax
    }

    /// Ends a parse from inside a receiver: ``parse(_:)`` throws `.stopped`.
    package func stop() { message.failure = message.failure ?? .stopped }

    /// Parses a piece of a request's head. http_parser refuses a method that it does not know, so it
    /// gets another method in its place, and ``method`` is `.other`.
    private func executeRequestHead(_ head: UnsafeRawBufferPointer) throws(HTTPSyntaxError) -> Int {
        if message.unknownMethodCount != nil, !message.methodIsComplete { return try executeUnknownMethod(head) }
        do throws(HTTPSyntaxError) {
            let used = try execute(head)
            if !message.methodIsComplete {
                message.methodIsComplete = head.contains(0x20)
                if !message.methodIsComplete {
                    message.methodStart += head.prefix(Self.methodBytesMax + 1).drop { $0 == 0x0D || $0 == 0x0A }
                }
            }
            return used
        } catch {
            guard error == .unknownMethod, !message.methodIsComplete else { throw error }
            return try executeUnknownMethod(head)
        }
    }

    private static let methodBytesMax = 32

    private func executeUnknownMethod(_ head: UnsafeRawBufferPointer) throws(HTTPSyntaxError) -> Int {
        let line = message.methodStart.isEmpty ? head.drop { $0 == 0x0D || $0 == 0x0A } : head[...]
        let end = line.firstIndex(of: 0x20)
        message.methodStart += line[..<(end ?? line.endIndex)].prefix(Self.methodBytesMax + 1)
        guard message.methodStart.count <= Self.methodBytesMax, message.methodStart.withUnsafeBytes(HTTPToken.isToken) else {
            throw .unknownMethod
        }
        message.unknownMethodCount = message.methodStart.count
        guard let end else { return head.count }
        message.methodIsComplete = true
        http_parser_init(raw, HTTP_REQUEST)
        let known: StaticString = "REPORT"
        try execute(UnsafeRawBufferPointer(start: known.utf8Start, count: known.utf8CodeUnitCount))
        return end + (try execute(UnsafeRawBufferPointer(rebasing: head[end...])))
    }

    @discardableResult
    private func execute(_ bytes: UnsafeRawBufferPointer) throws(HTTPSyntaxError) -> Int {
        let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        if base == nil, state == .head, kind == .request { return 0 }
        var nothing: CChar = 0
        let used =
            base.map { http_parser_execute(raw, Self.settings, $0, bytes.count) } ?? http_parser_execute(raw, Self.settings, &nothing, 0)
        if let failure = message.failure { throw failure }
        let code = http_errno(rawValue: UInt32(chttp_error(raw)))
        switch code {
        case HPE_OK: break
        case HPE_PAUSED: http_parser_pause(raw, 0)
        case HPE_HEADER_OVERFLOW: throw .headTooLarge
        case HPE_INVALID_EOF_STATE: throw .endedEarly
        case HPE_INVALID_METHOD: throw .unknownMethod
        case HPE_INVALID_VERSION: throw .malformed("not an HTTP version")
        case HPE_INVALID_HEADER_TOKEN: throw .malformed("a byte that no header field may hold")
        case HPE_INVALID_CONTENT_LENGTH: throw .malformed("`Content-Length` must be a whole number")
        case HPE_UNEXPECTED_CONTENT_LENGTH: throw .malformed("`Content-Length` must be sent once, and not with `Transfer-Encoding`")
        case HPE_INVALID_TRANSFER_ENCODING: throw .malformed("`Transfer-Encoding` must be chunked or absent")
        case HPE_INVALID_CHUNK_SIZE: throw .malformed("the size of a chunk must be hexadecimal digits")
        default: throw .malformed("not HTTP/1.1")
        }
        return used
    }

    // MARK: http_parser's callbacks: record, and answer non-zero to stop

    // Written once, before the first parser is made, and read by the library only.
    private nonisolated(unsafe) static let settings: UnsafeMutablePointer<http_parser_settings> = {
        let settings = UnsafeMutablePointer<http_parser_settings>.allocate(capacity: 1)
        chttp_settings(
            settings,
            { HTTPParser.of($0).target(UnsafeRawBufferPointer(start: $1, count: $2)) },
            { HTTPParser.of($0).fieldName(UnsafeRawBufferPointer(start: $1, count: $2)) },
            { HTTPParser.of($0).fieldValue(UnsafeRawBufferPointer(start: $1, count: $2)) },
            { HTTPParser.of($0).headComplete() },
            { HTTPParser.of($0).body(UnsafeRawBufferPointer(start: $1, count: $2)) },
            { HTTPParser.of($0).messageComplete() })
        return settings
    }()

    private static func of(_ raw: UnsafeMutablePointer<http_parser>?) -> HTTPParser {
        Unmanaged<HTTPParser>.fromOpaque(raw!.pointee.data).takeUnretainedValue()
    }

    private func fail(_ error: HTTPSyntaxError) -> Int32 {
        message.failure = message.failure ?? error
        return -1
    }

    private func target(_ piece: UnsafeRawBufferPointer) -> Int32 {
        message.target.append(contentsOf: piece)
        return target.count > limits.targetBytesMax ? fail(.targetTooLong) : 0
    }

    private func fieldName(_ piece: UnsafeRawBufferPointer) -> Int32 {
        if state == .body {
            // Trailer fields would be a second place for what the head says. No client of ours sends them; from a provider they
            // are dropped.
            return kind == .request ? fail(.malformed("trailer fields are not accepted; send them in the head")) : 0
        }
        if headers.isEmpty { message.headers.reserve(bytes: 512, fields: 16) }
        if message.inValue || headers.isEmpty {
            message.headers.endValue()
            message.inValue = false
            message.headers.beginName(piece)
        } else {
            message.headers.continueName(piece)
        }
        return headers.count > limits.fieldsMax ? fail(.headTooLarge) : 0
    }

    private func fieldValue(_ piece: UnsafeRawBufferPointer) -> Int32 {
        if state == .body { return 0 }
        message.inValue = true
        message.headers.continueValue(piece)
        return 0
    }

    private func headComplete() -> Int32 {
        message.headers.endValue()
        message.isHTTP11 = raw.pointee.http_minor == 1
        guard raw.pointee.http_major == 1, raw.pointee.http_minor <= 1 else {
            return fail(.malformed("only HTTP/1.0 and HTTP/1.1 are spoken"))
        }
        message.keepsAlive = http_should_keep_alive(raw) != 0
        message.isChunked = chttp_is_chunked(raw) != 0
        do throws(HTTPSyntaxError) {
            let hostIndex = try checkFields()
            if kind == .request {
                message.method = Method(code: chttp_method(raw))
                try checkTarget(hostIndex: hostIndex)
            } else {
                message.status = Int(chttp_status(raw))
            }
        } catch {
            return fail(error)
        }
        if chttp_has_content_length(raw) != 0 {
            guard raw.pointee.content_length <= UInt64(Int.max), Int(raw.pointee.content_length) <= limits.bodyBytesMax || answersHead
            else {
                return fail(.bodyTooLarge)
            }
            message.contentLength = Int(raw.pointee.content_length)
        }
        chttp_ignore_upgrade(raw)
        message.state = .body
        // http_parser would wait for a body that these announce and never have (RFC 9112 §6.3, rule 1).
        let isBodyless = answersHead || status == 304 || status == 204 || (100..<200).contains(status)
        return kind == .response && isBodyless ? 1 : 0
    }

    private func body(_ piece: UnsafeRawBufferPointer) -> Int32 {
        message.bodyCount += piece.count
        if message.bodyCount > message.bodyBytesMax { return fail(.bodyTooLarge) }
        receiver?.receive(piece)
        return message.failure == nil ? 0 : -1
    }

    private func messageComplete() -> Int32 {
        message.state = .complete
        http_parser_pause(raw, 1)
        return 0
    }

    // MARK: What http_parser lets through

    /// Checks names, framing and `Host`. Returns the index of the `Host` field.
    private func checkFields() throws(HTTPSyntaxError) -> Int? {
        let headers = headers
        var host: Int?
        var hasTransferEncoding = false
        for index in 0..<headers.count {
            // http_parser takes `Name :`, where a proxy in front might see another name (RFC 9112 §5.1).
            guard headers.withName(at: index, HTTPToken.isToken) else { throw .malformed("the name of a field must be a token") }
            if headers.isNamed("host", at: index) {
                guard host == nil else { throw .malformed("`Host` must be sent once") }
                host = index
            } else if headers.isNamed("transfer-encoding", at: index) {
                let isPlain = headers.withValue(at: index) { Self.isChunked($0) }
                guard isPlain, isChunked, !hasTransferEncoding else { throw .malformed("`Transfer-Encoding` must be chunked or absent") }
                hasTransferEncoding = true
            }
        }
        if hasTransferEncoding {
            guard chttp_has_content_length(raw) == 0 else {
                throw .malformed("`Content-Length` and `Transfer-Encoding` must not be sent together")
            }
            guard isHTTP11 else { throw .malformed("`Transfer-Encoding` needs HTTP/1.1") }
        }
        if kind == .request {
            guard host != nil || !isHTTP11 else { throw .malformed("`Host` must be sent") }
            guard host.map({ headers.withValue(at: $0, HostGrammar.isHost) }) ?? true else {
                throw .malformed("`Host` must be one name or address, with or without a port")
            }
        }
        return host
    }

    private static func isChunked(_ value: UnsafeRawBufferPointer) -> Bool {
        value.count == 7 && strncasecmp(value.baseAddress!.assumingMemoryBound(to: CChar.self), "chunked", 7) == 0
    }

    /// Checks for origin form, `*` of OPTIONS, or absolute form whose authority is the Host's (RFC
    /// 9112 §3.2).
    private func checkTarget(hostIndex: Int?) throws(HTTPSyntaxError) {
        guard method != .connect else { throw .malformed("CONNECT is not served") }
        // http_parser takes several spaces, and `Http-1.1` for a version. Without them, this is the
        // length (RFC 9112 §3).
        let version = isHTTP11 ? Self.http11 : Self.http10
        guard message.scanner.startLineEnd == version,
            message.scanner.startLineCount == (message.unknownMethodCount ?? chttp_method_length(raw)) + 1 + target.count
                + " HTTP/1.1\r\n".utf8.count
        else {
            throw .malformed("the request line must be a method, a target and a version, with one space between them")
        }
        if target == [UInt8(ascii: "*")], method == .options { return }
        if target.first != UInt8(ascii: "/") { message.target = try Self.path(of: target, sentTo: hostIndex.map { headers.value(at: $0) }) }
        guard TargetGrammar.isPathAndQuery(target[...]) else {
            throw .malformed("the request target has a character that must be percent-encoded, or a broken escape")
        }
    }

    /// `HTTP/1.1` and `HTTP/1.0`, the last character in the lowest byte.
    private static let http11: UInt64 = 0x4854_5450_2F31_2E31
    private static let http10: UInt64 = 0x4854_5450_2F31_2E30

    /// Returns the path and query of a target in absolute form.
    private static func path(of target: [UInt8], sentTo host: ArraySlice<UInt8>?) throws(HTTPSyntaxError) -> [UInt8] {
        for scheme in ["http://", "https://"] as [StaticString] {
            let count = scheme.utf8CodeUnitCount
            guard target.count > count, target.withUnsafeBytes({ strncasecmp($0.baseAddress!, scheme.utf8Start, count) == 0 }) else {
                continue
            }
            let rest = target[count...]
            let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
            let authority = rest[..<end]
            guard authority.withUnsafeBytes(HostGrammar.isHost) else { throw .malformed("the request target must name one host") }
            guard host?.elementsEqual(authority) ?? true else { throw .malformed("the request target and `Host` must name the same host") }
            return (rest[end...].first == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + rest[end...]
        }
        throw .malformed("the request target must be a path")
    }
}

extension HTTPSyntaxError {
    fileprivate static let unknownMethod = HTTPSyntaxError.malformed("the method must be a token of at most 32 characters")
}

extension Method {
    /// http_parser's number for the method.
    fileprivate init(code: Int32) {
        switch UInt32(code) {
        case HTTP_GET.rawValue: self = .get
        case HTTP_HEAD.rawValue: self = .head
        case HTTP_POST.rawValue: self = .post
        case HTTP_PUT.rawValue: self = .put
        case HTTP_PATCH.rawValue: self = .patch
        case HTTP_DELETE.rawValue: self = .delete
        case HTTP_OPTIONS.rawValue: self = .options
        case HTTP_CONNECT.rawValue: self = .connect
        case HTTP_TRACE.rawValue: self = .trace
        default: self = .other
        }
    }
}
