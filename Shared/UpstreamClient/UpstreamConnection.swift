import EventLoop
import Glibc
import HTTPWire
import TLS

/// One TCP (and TLS) connection of a pool, carrying one call at a time.
///
/// A turn of the loop reads once into the loop's scratch buffer and parses it; the body pieces are moved together inside that
/// buffer, and the call gets them as one run *after* the parser has returned. So a sink that cancels its call does so with no
/// parser frame on the stack, and a hundred small chunks in one read cost one call.
final class UpstreamConnection: IOHandler, HTTPBodyReceiver {
    private enum Phase { case unconnected, connecting, handshaking, ready, closed }

    private let pool: UpstreamPool
    private let loop: EventLoop
    private var phase = Phase.unconnected
    private var socket: UpstreamSocket?
    private var isWatched = false
    private var interest: IOEvents = []
    private var candidates: ArraySlice<SocketAddress> = []
    /// The end of the time for look-up, TCP and TLS.
    private var connectBy = MonotonicInstant.never
    private var lastFailure = UpstreamError(.connectFailed, "no address")
    private let parser: HTTPParser

    // The call at hand.
    private var call: UpstreamResponse?
    private var sent = 0
    /// The encrypted bytes that the kernel took before the call.
    private var encryptedBefore = 0
    private var isReused = false
    private var hasAnswered = false
    private var writeFailed = false
    private var bodyStart: UnsafeMutableRawPointer?
    private var bodyCount = 0
    /// The time at which the connection was ready for its first call.
    private var openedAt = MonotonicInstant(nanoseconds: 0)

    init(_ pool: UpstreamPool) {
        self.pool = pool
        loop = pool.loop
        parser = HTTPParser(.response)
        super.init()
        parser.receiver = self
    }

    // MARK: Calls

    /// True if a kept connection can carry the next call: the server has neither ended it nor sent
    /// bytes, which would be taken for the answer. Reads a byte, so the connection must be closed if
    /// false.
    var isQuiet: Bool {
        withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { byte in
            let (count, end) = fill(byte)
            return count == 0 && end.isOpen
        }
    }

    /// Takes `call`; it is sent as soon as there is a connection.
    func run(_ call: UpstreamResponse) {
        self.call = call
        call.connection = self
        isReused = phase == .ready
        (sent, hasAnswered, writeFailed) = (0, false, false)
        encryptedBefore = socket?.tls?.bytesWritten ?? 0
        parser.answersHead = call.isHead
        if parser.state == .complete { parser.next() }
        guard phase == .ready else {
            connectBy = loop.now + pool.configuration.connectWithin
            return
        }
        deadline = loop.now + call.firstByteWithin
        flush()
    }

    /// The call has ended without this connection's doing. The rest of its answer has no reader, so the connection is closed.
    func callGaveUp() {
        call = nil
        close()
        pool.serveNext()
    }

    /// The call was paused, resumed or found a reader.
    func interestChanged() {
        guard phase == .ready, let call else { return }
        if call.isPaused {
            deadline = .never
        } else if deadline == .never {
            deadline = loop.now + pool.configuration.gapWithin
        }
        arm()
        guard let socket, socket.pending > 0, !call.isFull else { return }
        // Bytes that OpenSSL has decrypted already: epoll will not tell. Not now, as this may be running inside the sink.
        loop.schedule(after: .zero) { [weak self] in
            guard let self, phase == .ready, self.call?.isFull == false else { return }
            receive()
        }
    }

    /// True when requests can be written.
    var isReady: Bool { phase == .ready }

    /// True if the connection has reached its greatest age. The next one goes where the host's name
    /// points then.
    var isOld: Bool { loop.now >= openedAt + pool.configuration.ageMax }

    /// True if the kernel of the peer has acknowledged all bytes of the request.
    var isRequestAcknowledged: Bool {
        if hasAnswered { return true }
        guard phase == .ready, let call, sent == call.requestCount, !writeFailed else { return false }
        return socket?.unacknowledged == 0
    }

    /// True if the server cannot have read a byte of the request: the kernel took none, or the
    /// server had ended the connection before the first byte arrived.
    ///
    /// The segment that ends a connection acknowledges all bytes that arrived before it. A reset
    /// does not: bytes that look unacknowledged after a reset may have been read. The same holds
    /// for a TLS connection that ends without an alert, which may be a reset.
    private func isRequestUnseen(_ end: UpstreamSocket.End) -> Bool {
        let given = socket?.tls.map { $0.bytesWritten - encryptedBefore } ?? sent
        guard !hasAnswered, given > 0 else { return !hasAnswered }
        guard case .clean = end, !writeFailed, let unacknowledged = socket?.unacknowledged else { return false }
        return unacknowledged >= given
    }

    private var hasUnsent: Bool { call.map { sent < $0.requestCount && !writeFailed } ?? false }

    private func complete(mayKeep: Bool) {
        let call = call
        self.call = nil
        call?.connection = nil
        if mayKeep {
            deadline = loop.now + pool.configuration.idleWithin
            arm()
            pool.keep(self)
        } else {
            close()
        }
        call?.finish()
        pool.serveNext()
    }

    /// - Parameter isUnseen: true if the server has seen nothing of the request. The call is then
    ///   sent again, once.
    private func fail(_ error: UpstreamError, isUnseen: Bool = false) {
        let call = call
        _ = call?.isAcknowledged
        self.call = nil
        close()
        if let call {
            call.connection = nil
            if isReused, isUnseen, !call.wasRetried {
                call.wasRetried = true
                pool.retry(call)
            } else {
                call.fail(error)
            }
        }
        pool.serveNext()
    }

    func close() {
        guard phase != .closed else { return }
        if phase == .ready, call == nil { socket?.tls?.sayGoodbye() }
        phase = .closed
        deadline = .never
        closeSocket()
        pool.forget(self)
    }

    private func closeSocket() {
        guard let descriptor = socket?.descriptor else { return }
        if isWatched { loop.unwatch(descriptor) }
        socket = nil
        Glibc.close(descriptor)
        isWatched = false
    }

    // MARK: Connecting

    func connect(to addresses: [SocketAddress]) {
        guard phase == .unconnected else { return }
        candidates = addresses[...]
        connectNext()
    }

    func connectFailed(_ error: UpstreamError) {
        guard phase == .unconnected else { return }
        fail(error)
    }

    /// Tries the addresses in the resolver's order. Each gets an equal share of the time that is
    /// left for it and those after it.
    private func connectNext() {
        while let address = candidates.popFirst() {
            let descriptor = address.connect()
            if descriptor >= 0 {
                socket = UpstreamSocket(descriptor)
                phase = .connecting
                deadline = loop.now + (connectBy - loop.now) / (candidates.count + 1)
                (isWatched, interest) = (true, .writable)
                loop.watch(descriptor, for: interest, self)
                return
            }
            lastFailure = UpstreamError(.connectFailed, "\(pool.origin): \(String(cString: strerror(errno)))")
        }
        fail(lastFailure)
    }

    private func finishConnecting() {
        guard let descriptor = socket?.descriptor else { return }
        if let reason = socket?.connectError {
            lastFailure = UpstreamError(.connectFailed, "\(pool.origin): \(reason)")
            closeSocket()
            return connectNext()
        }
        guard let context = pool.tls else { return begin() }
        do throws(TLSError) {
            socket?.tls = try context.session(over: descriptor, host: pool.origin.host)
        } catch {
            return fail(UpstreamError(.tlsFailed(error.description)))
        }
        phase = .handshaking
        shakeHands()
    }

    private func shakeHands() {
        guard let tls = socket?.tls else { return }
        switch tls.handshake() {
        case .bytes: begin()
        case .wantsReadable: setInterest(.readable)
        case .wantsWritable: setInterest(.writable)
        case .ended: fail(UpstreamError(.tlsFailed("the peer closed the connection")))
        case .failed(let error): fail(UpstreamError(.tlsFailed(error.description)))
        }
    }

    private func begin() {
        phase = .ready
        openedAt = loop.now
        deadline = loop.now + (call?.firstByteWithin ?? pool.configuration.firstByteWithin)
        flush()
    }

    // MARK: The loop's side

    override func ready(_ events: IOEvents) {
        switch phase {
        case .connecting: finishConnecting()
        case .handshaking: shakeHands()
        case .ready:
            if hasUnsent {
                flush()
                guard phase == .ready else { return }
            }
            if call?.isFull == true {
                // Nothing is asked for, and epoll reports a dead connection all the same: out of the set until resume, so that
                // it neither spins nor loses what the kernel still holds.
                if !events.isDisjoint(with: [.error, .hangup]) { detach() }
                return
            }
            if waitsForWritable || !events.isDisjoint(with: [.readable, .error, .hangup]) { receive() }
        case .unconnected, .closed: break
        }
    }

    override func deadlineReached() {
        switch phase {
        case .connecting where !candidates.isEmpty && loop.now < connectBy:
            closeSocket()
            connectNext()
        case .unconnected, .connecting, .handshaking:
            fail(UpstreamError(.timedOut(.connect), pool.origin.description))
        case .ready where call == nil:
            close()
            pool.serveNext()
        case .ready:
            fail(UpstreamError(.timedOut(hasAnswered ? .gap : .firstByte), pool.origin.description))
        case .closed: break
        }
    }

    /// Asks epoll for what the state of the call and of the request needs.
    private func arm() {
        var wanted: IOEvents = call?.isFull == true ? [] : .readable
        if hasUnsent || waitsForWritable { wanted.insert(.writable) }
        setInterest(wanted)
    }

    private func setInterest(_ wanted: IOEvents) {
        guard let descriptor = socket?.descriptor else { return }
        if !isWatched {
            guard !wanted.isEmpty else { return }
            (isWatched, interest) = (true, wanted)
            loop.watch(descriptor, for: wanted, self)
        } else if wanted != interest {
            interest = wanted
            loop.modify(descriptor, for: wanted)
        }
    }

    private func detach() {
        guard let descriptor = socket?.descriptor else { return }
        loop.unwatch(descriptor)
        (isWatched, interest) = (false, [])
    }

    // MARK: Writing

    /// The bytes of an upload in a turn of the loop, so that one call cannot hold the others.
    private static let uploadBytesPerTurnMax = 1 << 20

    /// One `send` for head and body together in the usual case.
    private func flush() {
        guard let call, let socket else { return arm() }
        let turnEnd = call.segments == nil ? Int.max : sent + Self.uploadBytesPerTurnMax
        while hasUnsent, sent < turnEnd {
            switch call.withRequest(from: sent, { socket.write($0) }) {
            case .bytes(let count): sent += count
            case .wantsWritable: return arm()
            case .wantsReadable: return setInterest(.readable)
            // A server may answer and close without having read everything: what it said is found by reading.
            case .ended, .failed: writeFailed = true
            }
        }
        arm()
    }

    // MARK: Reading

    private func receive() {
        var limit = loop.scratch.count
        while true {
            let (count, end) = fill(UnsafeMutableRawBufferPointer(rebasing: loop.scratch[..<limit]))
            take(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]), end)
            // A full buffer may leave the rest of a record inside OpenSSL.
            guard phase == .ready, let socket, socket.pending > 0, call?.isFull != true else { return }
            limit = socket.pending
        }
    }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer) -> (count: Int, end: UpstreamSocket.End) {
        let filled = socket?.read(into: buffer) ?? (0, .clean)
        if pool.tls != nil, phase == .ready, waitsForWritable || interest.contains(.writable) { arm() }
        return filled
    }

    private var waitsForWritable: Bool { socket?.waitsForWritable == true }

    private func take(_ bytes: UnsafeRawBufferPointer, _ end: UpstreamSocket.End) {
        guard let call else {
            // Idle: the server has closed, or speaks out of turn. A TLS session ticket is neither and reads as nothing.
            if !bytes.isEmpty || !end.isOpen {
                close()
                pool.serveNext()
            }
            return
        }
        if !bytes.isEmpty { noteProgress(call) }
        (bodyStart, bodyCount) = (nil, 0)
        var failure: HTTPSyntaxError?
        var isWhole = false
        var used = 0
        do throws(HTTPSyntaxError) {
            (isWhole, used) = try parse(bytes, call)
            if !isWhole, case .clean = end {
                try parser.finish()
                isWhole = parser.state == .complete
            }
        } catch {
            failure = error
        }
        if bodyCount > 0, self.call === call { call.gotBody(UnsafeRawBufferPointer(start: bodyStart, count: bodyCount)) }
        guard self.call === call else { return }  // cancelled by its own sink, or too large
        if isWhole {
            complete(mayKeep: parser.keepsAlive && end.isOpen && used == bytes.count && !hasUnsent && !writeFailed)
        } else if let failure, failure != .endedEarly {
            fail(UpstreamError(.malformed, "\(failure)"))
        } else if !end.isOpen {
            fail(UpstreamError(.closedEarly, end.reason), isUnseen: isRequestUnseen(end))
        } else if call.isFull {
            arm()
        }
    }

    private func noteProgress(_ call: UpstreamResponse) {
        deadline = loop.now + pool.configuration.gapWithin
        guard !hasAnswered else { return }
        hasAnswered = true
        // The request is kept to be sent again until the first byte of an answer; from here on it is only memory.
        if !hasUnsent {
            call.dropRequest()
            sent = 0
        }
    }

    /// Answers whether the final answer is whole, and how many bytes belong to it.
    private func parse(_ bytes: UnsafeRawBufferPointer, _ call: UpstreamResponse) throws(HTTPSyntaxError) -> (Bool, Int) {
        var used = 0
        var wasHead = parser.state == .head
        while used < bytes.count {
            used += try parser.parse(UnsafeRawBufferPointer(rebasing: bytes[used...]))
            if parser.state == .head { continue }
            if wasHead {
                if (100..<200).contains(parser.status) {
                    // An interim answer (RFC 9110 §15.2). 101 was not asked for, so what follows it is not HTTP.
                    guard parser.status != 101, parser.state == .complete else {
                        throw .malformed("a switch of protocols nobody asked for")
                    }
                    parser.next()
                    continue
                }
                wasHead = false
                call.gotHead(status: parser.status, headers: parser.headers, contentLength: parser.contentLength)
            }
            if parser.state == .complete { return (true, used) }
        }
        return (false, used)
    }

    /// Called by the parser with pieces of the scratch buffer, front to back. The parser has read past a piece when it hands it
    /// over, so moving it down to the end of the one before is safe.
    func receive(_ piece: UnsafeRawBufferPointer) {
        guard let start = bodyStart else {
            bodyStart = UnsafeMutableRawPointer(mutating: piece.baseAddress)
            bodyCount = piece.count
            return
        }
        memmove(start + bodyCount, piece.baseAddress!, piece.count)
        bodyCount += piece.count
    }
}
