import EventLoop
package import HTTPWire

/// One call: from ``UpstreamPool/begin(method:target:headers:body:)`` to the last byte of its answer. Confined to the pool's loop.
///
/// Exactly one task waits on it: first for ``head()``, then in ``pipe(_:)`` or ``collect(upTo:)``. A call that no task waits for
/// reads no more once it buffers 64 KiB, so the last read may add 64 KiB. It meets its gap deadline.
package final class UpstreamResponse: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`; what other threads may call goes through `loop.execute`.

    /// Valid once ``head()`` has returned.
    package private(set) var status = 0
    /// The fields of the final answer, hop-by-hop fields included. Those of 1xx answers are dropped.
    package private(set) var headers = HeaderBlock()

    private enum Outcome {
        case running
        case whole
        case failed(UpstreamError)
    }

    private let loop: EventLoop
    private var hasHead = false
    private var outcome = Outcome.running
    private var buffered: [UInt8] = []
    private var sink: ((UnsafeRawBufferPointer) -> Void)?
    private var collectedBytesMax: Int?
    /// Takes each read of a collected body. False: there is no room for it.
    private var takesBytes: ((Int) -> Bool)?
    private var waiter: CheckedContinuation<Void, Never>?
    private var waitsForHead = false

    // The connection's side.
    let isHead: Bool
    let firstByteWithin: Duration
    /// Request line, fields and body as they go out; given back when the answer has begun.
    private(set) var request: [UInt8]
    /// The body that follows ``request``, if it is built from an upload.
    private(set) var segments: SegmentedBody?
    var connection: UpstreamConnection?
    /// True if the call runs on its second connection. The first one brought nothing to the server.
    var wasRetried = false
    private(set) var isPaused = false
    private var wasAcknowledged = false

    init(loop: EventLoop, request: [UInt8], segments: SegmentedBody? = nil, isHead: Bool, firstByteWithin: Duration) {
        (self.loop, self.request, self.segments, self.isHead, self.firstByteWithin) = (loop, request, segments, isHead, firstByteWithin)
    }

    /// The bytes of head and body.
    var requestCount: Int { request.count + (segments?.count ?? 0) }

    /// Calls `write` with bytes of the request from `offset` on. The same offset gives the same bytes,
    /// as TLS demands of a write that is tried again.
    func withRequest<Result>(from offset: Int, _ write: (UnsafeRawBufferPointer) -> Result) -> Result {
        if let segments, offset >= request.count { return segments.withBytes(from: offset - request.count, write) }
        return request.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
    }

    func dropRequest() { (request, segments) = ([], nil) }

    var isOver: Bool { if case .running = outcome { false } else { true } }

    /// True while more body bytes would only fill memory.
    var isFull: Bool { isPaused || (sink == nil && collectedBytesMax == nil && buffered.count >= 65_536) }

    // MARK: The caller's side

    /// True while no byte of the request has been sent, because the call waits for a connection.
    package var isUnsent: Bool { !isOver && connection?.isReady != true }

    /// True when the kernel of the server has acknowledged the whole request, or the server has
    /// answered. Bytes that were written to a dead connection are not acknowledged.
    package var isAcknowledged: Bool {
        if !wasAcknowledged { wasAcknowledged = hasHead || connection?.isRequestAcknowledged ?? false }
        return wasAcknowledged
    }

    /// Waits for the status and the header fields.
    package func head() async throws(UpstreamError) {
        if !hasHead, !isOver { await wait(forHead: true) }
        if !hasHead, case .failed(let error) = outcome { throw error }
    }

    /// The whole body, decoded from its chunks.
    /// - Parameter takesBytes: called on the loop with the size of each read; false if there is no room for it.
    /// - Throws: `.tooLarge` as soon as it is known to be longer than `limit` bytes, `.saturated` without room. The connection is
    ///   closed then.
    package func collect(upTo limit: Int, takesBytes: ((Int) -> Bool)? = nil) async throws(UpstreamError) -> [UInt8] {
        loop.preconditionCurrent()
        (collectedBytesMax, self.takesBytes) = (limit, takesBytes)
        defer { self.takesBytes = nil }
        check(buffered.count)
        connection?.interestChanged()
        if !isOver { await wait(forHead: false) }
        if case .failed(let error) = outcome { throw error }
        guard buffered.count <= limit else { throw UpstreamError(.tooLarge, "more than \(limit) bytes") }
        defer { buffered = [] }
        return buffered
    }

    /// Hands every read to `sink` on the loop, as one run of body bytes without chunk framing, and returns after the last one.
    /// The bytes are valid until `sink` returns. ``pause()`` and ``cancel()`` are legal inside it.
    package func pipe(_ sink: @escaping (UnsafeRawBufferPointer) -> Void) async throws(UpstreamError) {
        loop.preconditionCurrent()
        if !buffered.isEmpty {
            let first = buffered
            buffered = []
            first.withUnsafeBytes(sink)
        }
        if !isOver {
            self.sink = sink
            connection?.interestChanged()
            await wait(forHead: false)
            self.sink = nil
        }
        if case .failed(let error) = outcome { throw error }
    }

    /// Stops reading from the provider, and stops the gap deadline: the caller answers for the time until ``resume()``.
    package func pause() {
        loop.preconditionCurrent()
        guard !isPaused else { return }
        isPaused = true
        connection?.interestChanged()
    }

    package func resume() {
        loop.preconditionCurrent()
        guard isPaused else { return }
        isPaused = false
        connection?.interestChanged()
    }

    /// Gives the call up: the connection is closed, the waiting task gets `.cancelled`. Nothing happens when the call is over.
    package func cancel() {
        loop.preconditionCurrent()
        fail(UpstreamError(.cancelled))
    }

    private func wait(forHead: Bool) async {
        waitsForHead = forHead
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                precondition(waiter == nil, "one task waits for a call")
                // The way here may lead through the loop's queue, so what is waited for can have come meanwhile. A cancellation
                // cannot be missed: its handler queues cancel() behind this.
                if isOver || (forHead && hasHead) {
                    continuation.resume()
                } else {
                    waiter = continuation
                }
            }
        } onCancel: {
            loop.execute { self.cancel() }
        }
    }

    private func wake() {
        guard let waiting = waiter else { return }
        waiter = nil
        waiting.resume()
    }

    // MARK: The connection's side

    func gotHead(status: Int, headers: HeaderBlock, contentLength: Int?) {
        self.status = status
        self.headers = headers
        hasHead = true
        if let contentLength, let limit = collectedBytesMax, contentLength > limit {
            fail(UpstreamError(.tooLarge, "more than \(limit) bytes"))
        }
        if waitsForHead { wake() }
    }

    func gotBody(_ bytes: UnsafeRawBufferPointer) {
        if let sink { return sink(bytes) }
        buffered.append(contentsOf: bytes)
        check(bytes.count)
    }

    /// Checks the body after a read, if it is collected.
    private func check(_ count: Int) {
        guard let limit = collectedBytesMax else { return }
        if buffered.count > limit { return fail(UpstreamError(.tooLarge, "more than \(limit) bytes")) }
        if takesBytes?(count) == false { fail(UpstreamError(.saturated, "too many answers are collected at once")) }
    }

    func finish() {
        guard !isOver else { return }
        outcome = .whole
        dropRequest()
        wake()
    }

    /// Ends the call and, if it has one, its connection.
    func fail(_ error: UpstreamError) {
        guard !isOver else { return }
        _ = isAcknowledged  // the last moment to ask, because the call loses its connection
        outcome = .failed(error)
        dropRequest()
        let connection = connection
        self.connection = nil
        connection?.callGaveUp()
        wake()
    }
}
