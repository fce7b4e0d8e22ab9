import EventLoop
import Glibc
import HTTPWire
import Uploads

/// One client's connection: reads requests, runs their handlers one after the other, writes the answers in that order.
///
/// It owns no buffer while it has nothing to send: reads go through the loop's scratch, answers through buffers the server
/// keeps for all its connections.
final class Connection: IOHandler, HTTPBodyReceiver, @unchecked Sendable {
    // @unchecked Sendable: confined to its loop.

    let loop: EventLoop
    let server: HTTPServer
    private let descriptor: Int32
    private let parser: HTTPParser
    private var phase = ConnectionPhase.reading

    // The request that is being read.
    private var headSeen = false
    private var isUpload = false
    private var body: [UInt8] = []
    /// The body of a row for uploads.
    private var upload: UploadWriter?
    /// The limit of the body, known once its head is admitted.
    private var bodyBytesMax = 0
    /// The reason why ``receive(_:)`` stopped the parser.
    private var bodyRefusal: Problem?
    private var startedAt: MonotonicInstant
    private var readAhead = ReadAhead()
    private var isPumping = false

    // The answer that is being written.
    private var exchange: Exchange?
    private var encoder = AnswerEncoder()
    private var clientAskedToClose = false
    private var output: [UInt8] = []
    private var outputOffset = 0
    private var (isFlushScheduled, isBlocked) = (false, false)
    /// The bytes that the server counts for a client that takes nothing at present.
    private(set) var waitingBytes = 0
    private var interest: IOEvents = [.readable, .peerClosed]

    // Two clocks run at a time: the client owes us bytes, and owes us the taking of ours.
    private var readDeadline = MonotonicInstant.never { didSet { deadline = min(readDeadline, writeDeadline) } }
    private var writeDeadline = MonotonicInstant.never { didSet { deadline = min(readDeadline, writeDeadline) } }

    private var knownPeerAddress: String?

    /// Asked of the kernel once; not after the close, when the descriptor's number may be another client's.
    var peerAddress: String {
        if knownPeerAddress == nil, phase != .closed { knownPeerAddress = TCP.peerAddress(of: descriptor) }
        return knownPeerAddress ?? ""
    }

    /// Reads in one turn, so that one client cannot hold the others.
    private static let readsPerTurnMax = 8

    init(_ descriptor: Int32, server: HTTPServer) {
        self.descriptor = descriptor
        self.server = server
        loop = server.loop
        parser = HTTPParser(.request, limits: server.parserLimits)
        startedAt = loop.now
        super.init()
        parser.receiver = self
        loop.watch(descriptor, for: interest, self)
        awaitHead()
    }

    // MARK: Events

    override func ready(_ events: IOEvents) {
        if events.contains(.writable) { flush() }
        guard phase != .closed else { return }
        if interest.contains(.readable) {
            if !events.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) { read() }
        } else if !events.isDisjoint(with: interest.union([.hangup, .error]).subtracting(.writable)) {
            // While we read nothing only a hang-up ends the connection; a readable event may be one from before we stopped.
            closeNow()
        }
    }

    override func deadlineReached() {
        if writeDeadline <= loop.now {
            TCP.resetOnClose(descriptor)
            closeNow()
        } else if phase == .reading, parser.hasBegun {
            refuse(.requestTimeout)
        } else {
            closeNow()
        }
    }

    private var isIdle: Bool { phase == .reading && !parser.hasBegun && readAhead.isEmpty }

    /// Closes the connection if no request has begun on it, not even in the kernel's buffer.
    func closeIfIdle() {
        if isIdle { read() }
        if isIdle { closeNow() }
    }

    /// Ends the connection, except if it lingers, which ends by itself.
    func closeForShutdown() {
        if phase != .lingering { closeNow() }
    }

    // MARK: Reading

    private func read() {
        for _ in 0..<Self.readsPerTurnMax {
            let count = recv(descriptor, loop.scratch.baseAddress, loop.scratch.count, 0)
            guard count > 0 else {
                if count < 0, errno == EAGAIN || errno == EINTR { return }
                // The end of the client's sending is taken for its leaving, as proxies do.
                return closeNow()
            }
            take(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
            guard count == loop.scratch.count, phase != .closed, interest.contains(.readable) else { return }
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        switch phase {
        case .reading:
            let used = parse(bytes)
            if used < bytes.count, phase == .reading || phase == .admitting { keep(bytes[used...]) }
            pump()
        case .admitting, .answering, .flushing:
            keep(bytes[...])
        case .closing, .lingering, .closed: break
        }
    }

    private func keep(_ bytes: Slice<UnsafeRawBufferPointer>) {
        readAhead.append(bytes)
        updateInterest()
    }

    /// Starts the request that is complete, and goes on with bytes that were read ahead.
    private func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while phase == .reading {
            if parser.state == .complete {
                if let upload { start(upload) } else { start() }
            } else if !readAhead.isEmpty {
                readAhead.use(readAhead.unread.withUnsafeBytes { parse($0) })
            } else {
                readAhead.removeAll()
                return updateInterest()
            }
        }
    }

    /// Consumes up to the end of one request.
    private func parse(_ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        do throws(HTTPSyntaxError) {
            while offset < bytes.count, parser.state != .complete {
                if !parser.hasBegun {
                    startedAt = loop.now
                    awaitHead()
                }
                offset += try parser.parse(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
                if parser.state == .body, !headSeen {
                    headSeen = true
                    guard admitBody() else { return bytes.count }
                    guard phase == .reading else { return offset }
                }
            }
        } catch {
            if case .bodyTooLarge = error, headSeen {
                dropBody()
                start(refusal: .payloadTooLarge(limit: bodyBytesMax))
            } else if upload != nil, let bodyRefusal {
                dropBody()
                start(refusal: bodyRefusal)
            } else {
                refuse(bodyRefusal ?? Problem(error, limits: server.configuration))
            }
            return bytes.count
        }
        return offset
    }

    private func awaitHead() { readDeadline = loop.now.advanced(by: server.deadlines.head) }

    /// Decides by the head whether to read the body. The decision may come later.
    /// - Returns: false if the request is refused.
    private func admitBody() -> Bool {
        let path = parser.target.prefix { $0 != UInt8(ascii: "?") }
        do throws(Problem) {
            let admission = try server.admit(parser.method, path, parser.headers)
            isUpload = admission.isUpload
            bodyBytesMax = isUpload ? admission.bodyBytesMax : min(admission.bodyBytesMax, server.configuration.bodyBytesMax)
            guard parser.limitBody(to: bodyBytesMax) else { throw .payloadTooLarge(limit: bodyBytesMax) }
            guard let check = admission.check else { return expectBody() }
            awaitCaller(check)
            return true
        } catch {
            start(refusal: error)
            return false
        }
    }

    /// Waits for the check of the caller, which has deadlines of its own. Bytes of the body that come
    /// meanwhile wait with those that are read ahead.
    private func awaitCaller(_ check: @escaping Admission.Check) {
        phase = .admitting
        readDeadline = .never
        server.taskBegan()
        Task(executorPreference: loop) { [self] in
            var refusal: Problem?
            do throws(Problem) { try await check() } catch { refusal = error }
            server.taskEnded()
            guard phase == .admitting else { return }
            phase = .reading
            if let refusal { return start(refusal: refusal) }
            if expectBody() { pump() }
        }
    }

    /// Makes ready for the body of an admitted request.
    private func expectBody() -> Bool {
        if isUpload {
            do throws(UploadError) {
                upload = try server.configuration.uploads.begin(length: parser.contentLength)
            } catch {
                start(refusal: server.refusal(error))
                return false
            }
        } else {
            guard server.hasRoomForBody else {
                refuse(.overloaded())
                return false
            }
            if let length = parser.contentLength { body.reserveCapacity(min(length, 1 << 20)) }
        }
        readDeadline = loop.now.advanced(by: isUpload ? server.deadlines.upload : server.deadlines.body)
        guard parser.isHTTP11, let expectation = parser.headers.string(for: "expect") else { return true }
        guard expectation.lowercased() == "100-continue" else {
            refuse(.expectationFailed)
            return false
        }
        reserveOutput()
        output.append("HTTP/1.1 100 Continue\r\n\r\n")
        scheduleFlush()
        return true
    }

    func receive(_ bytes: UnsafeRawBufferPointer) {
        if let upload { return receive(bytes, into: upload) }
        body.append(contentsOf: bytes)
        guard !server.bufferBody(bytes.count) else { return }
        bodyRefusal = .overloaded()
        parser.stop()
    }

    private func start(_ upload: UploadWriter) {
        do throws(UploadError) { start(upload: try upload.finish()) } catch { start(refusal: server.refusal(error)) }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer, into upload: UploadWriter) {
        do throws(UploadError) {
            try upload.append(bytes)
        } catch {
            bodyRefusal = server.refusal(error)
            parser.stop()
        }
    }

    /// Runs the handler.
    /// - Parameter refusal: set if the body is not read. The connection then ends after the answer,
    ///   and lingers, because the client may still send.
    private func start(upload: Upload? = nil, refusal: Problem? = nil) {
        phase = .answering
        readDeadline = .never
        encoder = AnswerEncoder(isHTTP11: parser.isHTTP11, keepsAlive: parser.keepsAlive && refusal == nil)
        clientAskedToClose = !parser.keepsAlive && refusal == nil
        let exchange = Exchange(
            connection: self, parser: parser, body: body, upload: upload, startedAt: startedAt, refusal: refusal)
        self.exchange = exchange
        body = []
        self.upload = nil
        (headSeen, isUpload) = (false, false)
        if refusal == nil { parser.next() }
        server.taskBegan()
        let (server, handler) = (server, server.handler)
        // Owned by the connection: it ends with the exchange, and a vanished client is told to the handler by `onClose`.
        Task(executorPreference: loop) {
            await handler(exchange)
            exchange.handlerReturned()
            server.handlerEnded(exchange)
        }
    }

    /// Answers what could not become a request, and ends the connection: its position in the stream is unknown.
    func refuse(_ problem: Problem) {
        server.requestRefused(problem)
        dropBody()
        encoder = AnswerEncoder(isHTTP11: true, keepsAlive: false)
        clientAskedToClose = false
        readDeadline = .never
        let response = Response.problem(problem)
        response.body.withUnsafeBytes { body in
            writeAnswer(
                response.status, standing: HeaderBlock(requestID: RequestID.make()), headers: response.headers, body: body, isHead: false)
        }
        phase = .closing
        updateInterest()
    }

    private func dropBody() {
        server.forgetBody(body.count)
        body = []
        upload = nil
    }

    // MARK: Writing

    var buffered: Int { output.count - outputOffset }
    private(set) var isBackpressured = false

    func writeAnswer(_ status: Int, standing: HeaderBlock, headers: HeaderBlock, body: UnsafeRawBufferPointer, isHead: Bool) {
        loop.preconditionCurrent()
        reserveOutput()
        if server.isDraining { encoder.keepsAlive = false }
        encoder.encode(status, (server.dateLine(), standing), headers, body: body, isHead: isHead, to: &output)
        scheduleFlush()
    }

    func beginAnswer(_ status: Int, standing: HeaderBlock, headers: HeaderBlock, isHead: Bool) {
        loop.preconditionCurrent()
        reserveOutput()
        if server.isDraining { encoder.keepsAlive = false }
        encoder.begin(status, (server.dateLine(), standing), headers, isHead: isHead, to: &output)
        scheduleFlush()
    }

    func writeBody(_ bytes: UnsafeRawBufferPointer) {
        loop.preconditionCurrent()
        if case .none = encoder.framing { return }
        reserveOutput()
        encoder.encode(piece: bytes, to: &output)
        if buffered > server.configuration.highWater { isBackpressured = true }
        scheduleFlush()
    }

    func endBody() {
        if case .none = encoder.framing { return }
        reserveOutput()
        if encoder.end(to: &output) { scheduleFlush() }
    }

    func answerEnded() {
        exchange = nil
        isBackpressured = false
        guard phase == .answering else { return }
        if !encoder.keepsAlive {
            phase = .closing
            scheduleFlush()
        } else if buffered > server.configuration.highWater {
            phase = .flushing
        } else {
            awaitRequest()
        }
        updateInterest()
    }

    private func awaitRequest() {
        phase = .reading
        readDeadline = loop.now.advanced(by: server.deadlines.idle)
        pump()
        if server.isDraining { loop.schedule(after: server.configuration.drainIdleWithin, closeIfIdle) }
    }

    func abort() {
        exchange = nil
        // The end of an unframed body is the connection's end: only a reset says that it was not the proper one.
        if case .untilClose = encoder.framing { TCP.resetOnClose(descriptor) } else { flush() }
        closeNow()
    }

    private func reserveOutput() {
        if output.capacity == 0 { server.takeBuffer(&output) }
    }

    private func scheduleFlush() {
        guard !isFlushScheduled, phase != .closed else { return }
        isFlushScheduled = true
        loop.flushSoon(self)
    }

    override func flushDue() {
        guard isBlocked else { return flush() }
        isFlushScheduled = false
        if phase != .closed { countWaiting(buffered) }
    }

    private func flush() {
        isFlushScheduled = false
        guard phase != .closed, phase != .lingering else { return }
        while outputOffset < output.count {
            let count = output.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + outputOffset, $0.count - outputOffset, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return closeNow() }
                if !isBlocked { writeDeadline = loop.now.advanced(by: server.deadlines.writeStall) }
                isBlocked = true
                countWaiting(buffered)
                guard phase != .closed else { return }
                if outputOffset > 64 << 10, outputOffset > output.count / 2 {
                    output.removeSubrange(..<outputOffset)
                    outputOffset = 0
                }
                return outputShrank()
            }
            outputOffset += count
            if isBlocked { writeDeadline = loop.now.advanced(by: server.deadlines.writeStall) }
        }
        if output.capacity > 0 {
            server.returnBuffer(&output)
            outputOffset = 0
        }
        if isBlocked {
            isBlocked = false
            writeDeadline = .never
            countWaiting(0)
        }
        if phase == .closing { return finishClosing() }
        outputShrank()
    }

    private func countWaiting(_ count: Int) {
        let change = count - waitingBytes
        waitingBytes = count
        server.waitingOutput(changedBy: change)
    }

    /// Resets a connection whose client takes too little of what waits for it.
    func giveUp() {
        TCP.resetOnClose(descriptor)
        closeNow()
    }

    private func outputShrank() {
        if phase == .flushing, buffered <= server.configuration.lowWater { awaitRequest() }
        if isBackpressured, buffered <= server.configuration.lowWater {
            isBackpressured = false
            exchange?.clientCaughtUp()
        }
        updateInterest()
    }

    private func updateInterest() {
        guard phase != .closed else { return }
        var wanted: IOEvents = []
        switch phase {
        case .reading: wanted = [.readable, .peerClosed]
        case .admitting, .answering, .flushing: wanted = readAhead.isFull ? [.peerClosed] : [.readable, .peerClosed]
        case .lingering: wanted = [.readable]
        case .closing, .closed: break
        }
        if isBlocked { wanted.insert(.writable) }
        guard wanted != interest else { return }
        interest = wanted
        loop.modify(descriptor, for: wanted)
    }

    // MARK: Ending

    private func finishClosing() {
        if clientAskedToClose { return closeNow() }
        phase = .lingering
        shutdown(descriptor, Int32(SHUT_WR))
        readDeadline = loop.now.advanced(by: server.deadlines.linger)
        updateInterest()
    }

    private func closeNow() {
        guard phase != .closed else { return }
        phase = .closed
        (readDeadline, writeDeadline) = (.never, .never)
        loop.unwatch(descriptor)
        close(descriptor)
        readAhead.removeAll()
        dropBody()
        if output.capacity > 0 { server.returnBuffer(&output) }
        outputOffset = 0
        countWaiting(0)
        server.connectionClosed(descriptor)
        guard let exchange else { return }
        self.exchange = nil
        exchange.clientVanished()
    }
}
