package import EventLoop
package import HTTPWire
package import Uploads

/// One request and its one answer, where the bytes are: for streaming and hot routes. Confined to its loop.
///
/// Answer with ``respond(_:headers:body:)``, or with ``begin(_:headers:)``, ``write(_:)-(UnsafeRawBufferPointer)``
/// and ``end()``. What is written after the client has gone is dropped. A handler that returns without an answer has it
/// answered for it: 500, or, once begun, an abort.
package final class Exchange: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`. The connection checks every write; the setters check
    // in debug builds.

    package let loop: EventLoop
    package let method: Method
    /// Origin form: `/path?query`.
    package let target: [UInt8]
    package let headers: HeaderBlock
    /// Empty after ``dropBody()``, and for an upload.
    package private(set) var body: [UInt8]
    /// The body of a row with `uploadBytesMax`. Nil if the request has no body, and after
    /// ``dropBody()``. A handler may keep it beyond the exchange.
    package private(set) var upload: Upload?
    /// When the head's first byte was read.
    package let startedAt: MonotonicInstant

    /// Joins every answer's head, problems included: `x-request-id`, rate limits. Set before answering.
    package var commonHeaders = HeaderBlock() { didSet { assertCurrent() } }

    /// Called once, when the client vanishes before the answer has ended; not after ``end()`` or ``abort()``.
    package var onClose: (() -> Void)? { didSet { assertCurrent() } }
    /// Called when ``buffered`` falls to the low-water mark after ``isBackpressured`` was true.
    package var onDrain: (() -> Void)? { didSet { assertCurrent() } }

    /// 0 until a head was sent.
    package private(set) var status = 0
    /// Body bytes handed over for the client, framing not counted.
    package private(set) var bodyBytesWritten = 0
    /// The client vanished, or the answer was aborted.
    package private(set) var isClosed = false
    package private(set) var hasEnded = false

    /// An error that a handler threw and that is no `Problem`. It is logged with the access line.
    var failure: (any Error)? { didSet { assertCurrent() } }
    /// The reason why the server refused the request by its head. The body is then empty.
    let refusal: Problem?
    private let origin: Connection
    /// Nil once the answer has ended.
    private var connection: Connection?

    init(connection: Connection, parser: HTTPParser, body: [UInt8], upload: Upload?, startedAt: MonotonicInstant, refusal: Problem?) {
        origin = connection
        self.refusal = refusal
        self.connection = connection
        loop = connection.loop
        method = parser.method
        target = parser.target
        headers = parser.headers
        self.body = body
        self.upload = upload
        self.startedAt = startedAt
    }

    // MARK: The request

    package var pathBytes: ArraySlice<UInt8> { target[..<(target.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)] }

    /// Not percent-decoded.
    package var path: String { String(decoding: pathBytes, as: UTF8.self) }

    /// Without the question mark; empty when there is none.
    package var queryBytes: ArraySlice<UInt8> {
        guard let mark = target.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        return target[(mark + 1)...]
    }

    /// The other end of the connection: the edge, or a client without an edge. It is empty if the
    /// peer had left before the first use.
    package var peerAddress: String { origin.peerAddress }

    var trustedProxies: TrustedProxies { origin.server.configuration.trustedProxies }

    /// Frees the body and its place in the server's budget, before the handler returns. A long
    /// answer would keep both. An upload is freed with its last reference.
    package func dropBody() {
        assertCurrent()
        origin.server.forgetBody(body.count)
        body = []
        upload = nil
    }

    // MARK: The answer

    /// Bytes that wait for the client.
    package var buffered: Int { connection?.buffered ?? 0 }

    /// More waits for the client than the high-water mark: stop what feeds it until ``onDrain``.
    package var isBackpressured: Bool { connection?.isBackpressured ?? false }

    package func respond(_ status: Int, headers: HeaderBlock = [:], body: [UInt8] = []) {
        body.withUnsafeBytes { respond(status, headers: headers, body: $0) }
    }

    /// The whole answer in one piece.
    package func respond(_ status: Int, headers: HeaderBlock = [:], body: UnsafeRawBufferPointer) {
        guard let connection = take(status) else { return }
        bodyBytesWritten = body.count
        connection.writeAnswer(status, standing: commonHeaders, headers: headers, body: body, isHead: method == .head)
        finish()
    }

    /// Sends the head. The body follows in pieces: chunked or, for HTTP/1.0, ended by closing.
    package func begin(_ status: Int, headers: HeaderBlock = [:]) {
        guard let connection = take(status) else { return }
        connection.beginAnswer(status, standing: commonHeaders, headers: headers, isHead: method == .head)
    }

    /// Takes a copy. What is written within one event leaves in one system call when that event has been handled.
    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard let connection, !bytes.isEmpty else { return }
        precondition(status != 0, "write before begin")
        bodyBytesWritten += bytes.count
        connection.writeBody(bytes)
    }

    package func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    /// Ends the answer properly.
    package func end() {
        guard let connection else { return }
        precondition(status != 0, "end before begin")
        connection.endBody()
        finish()
    }

    /// Breaks the connection so that no reader can take what was sent for the whole answer.
    package func abort() {
        guard let connection else { return }
        isClosed = true
        release()
        connection.abort()
    }

    /// Waits until the client has taken enough to go on.
    /// - Returns: false when it has gone instead.
    package func drained() async throws -> Bool {
        guard isBackpressured else { return !isClosed }
        let wait = Promise<Void>(on: loop)
        let (outerDrain, outerClose) = (onDrain, onClose)
        defer { (onDrain, onClose) = (outerDrain, outerClose) }
        onDrain = {
            outerDrain?()
            wait.succeed(())
        }
        onClose = {
            outerClose?()
            wait.succeed(())
        }
        try await wait.value()
        return !isClosed
    }

    /// Calls `action` when the server begins to drain, at once if it drains already. Works also
    /// after the client has left, until the handler returns. A second call replaces the first.
    package func whenServerStops(_ action: @escaping () -> Void) { origin.server.whenStopping(self, action) }

    // MARK: The server's side

    private func assertCurrent() { assert(loop.isCurrent, "an exchange is confined to its loop") }

    private func take(_ status: Int) -> Connection? {
        guard let connection else { return nil }
        precondition(self.status == 0, "a request is answered once")
        self.status = status
        return connection
    }

    private func finish() {
        guard let connection else { return }
        hasEnded = true
        release()
        connection.answerEnded()
    }

    private func release() {
        connection = nil
        onClose = nil
        onDrain = nil
    }

    func clientVanished() {
        isClosed = true
        let notify = onClose
        release()
        notify?()
    }

    func clientCaughtUp() { onDrain?() }

    func handlerReturned() {
        guard connection != nil else { return }
        if status == 0 { respond(.internalError) } else { abort() }
    }
}
