package import EventLoop
import Glibc
package import HTTPWire
package import Telemetry
import Uploads

/// Accepts connections on one loop and hands their requests to one handler, one task a request on that loop.
/// Once started it lives until it is drained.
///
/// A process with several loops has one server on each, all with `reusePort`.
package final class HTTPServer: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`; `start` and `drain` say so with a precondition.

    package typealias Handler = @Sendable (Exchange) async -> Void
    /// Decides by the head of a request, before its body is read. A problem refuses the request: the
    /// handler answers with ``Exchange/refusal``, and the connection ends.
    package typealias Admit = @Sendable (Method, _ path: ArraySlice<UInt8>, HeaderBlock) throws(Problem) -> Admission

    package let loop: EventLoop
    package let configuration: HTTPServerConfiguration
    /// The port that is listened on, once started.
    package private(set) var port = 0
    package private(set) var isDraining = false

    let handler: Handler
    let admit: Admit
    private let log: Logger
    private let refusals = Metrics.shared.counter("http_requests_rejected_total", help: "Connections ended because of what came on them.")
    let parserLimits: HTTPParser.Limits
    let deadlines: HTTPDeadlines
    private var acceptor: Acceptor?
    private var connections: [Int32: Connection] = [:]
    /// The handlers and checks of callers that have not returned, also those whose client has left.
    private var tasks = 0
    /// The actions of ``Exchange/whenServerStops(_:)``, each until its handler returns.
    private var stopActions: [ObjectIdentifier: () -> Void] = [:]
    /// The bytes of bodies that are being read or handled.
    private var bufferedBodyBytes = 0
    /// The bytes of answers that wait for clients that take nothing at present.
    package private(set) var waitingOutputBytes = 0
    /// One for each caller of ``drain(within:)``.
    private var drains: [Promise<Void>] = []
    private var buffers: [[UInt8]] = []
    private var date = HTTPDate()

    package init(
        loop: EventLoop, configuration: HTTPServerConfiguration,
        admit: @escaping Admit = { _, _, _ in Admission(bodyBytesMax: .max) },
        handler: @escaping Handler, log: Logger
    ) {
        self.loop = loop
        self.admit = admit
        self.configuration = configuration
        self.handler = handler
        self.log = log
        parserLimits = configuration.parserLimits
        deadlines = configuration.deadlines
    }

    /// - Throws: `SocketError`, for example when the port is taken.
    package func start() throws(SocketError) {
        loop.preconditionCurrent()
        let listener = try TCP.listen(
            host: configuration.host, port: configuration.port, backlog: configuration.backlog, reusePort: configuration.reusePort)
        port = TCP.port(of: listener)
        acceptor = Acceptor(listener, server: self)
    }

    /// The time in which a handler must end after its answer was broken off.
    package static let brokenOffWithin = Duration.seconds(5)

    /// Stops accepting. Every answer that begins from now on says `connection: close`. A connection without a request is
    /// closed after ``HTTPServerConfiguration/drainIdleWithin``: a client may be sending on it, and must not find it closed.
    /// Returns when the last connection has ended and the last handler has returned. A request that
    /// still runs after `limit` is broken off, and its handler gets ``brokenOffWithin`` more. A
    /// client that still sends after the last answer gets ``HTTPServerConfiguration/lingerWithin``,
    /// also beyond `limit`. Idempotent.
    package func drain(within limit: Duration) async {
        loop.preconditionCurrent()
        isDraining = true
        acceptor?.stop()
        acceptor = nil
        for action in stopActions.values { action() }
        loop.schedule(after: configuration.drainIdleWithin) { [self] in
            for connection in connections.values { connection.closeIfIdle() }
        }
        await finished(within: limit)
        for connection in connections.values { connection.closeForShutdown() }
        await finished(within: Self.brokenOffWithin)
    }

    private var isFinished: Bool { connections.isEmpty && tasks == 0 }

    private func finished(within limit: Duration) async {
        guard !isFinished else { return }
        let wait = Promise<Void>(on: loop)
        drains.append(wait)
        // Cancellation of the caller shortens the wait, nothing else.
        try? await wait.value(within: limit, elseReturn: ())
        drains.removeAll { $0 === wait }
    }

    // MARK: What connections report

    func accepted(_ descriptor: Int32) {
        guard connections.count < configuration.connectionsMax + Self.refusalsMax else {
            TCP.resetOnClose(descriptor)
            close(descriptor)
            return
        }
        let connection = Connection(descriptor, server: self)
        let isFull = connections.count >= configuration.connectionsMax
        connections[descriptor] = connection
        if isFull { connection.refuse(.overloaded()) }
    }

    /// Connections beyond `connectionsMax` that are being told so.
    private static let refusalsMax = 256

    func connectionClosed(_ descriptor: Int32) {
        connections[descriptor] = nil
        checkDrained()
    }

    private func checkDrained() {
        guard isDraining, isFinished else { return }
        for wait in drains { wait.succeed(()) }
    }

    func taskBegan() { tasks += 1 }

    func taskEnded() {
        tasks -= 1
        checkDrained()
    }

    func handlerEnded(_ exchange: Exchange) {
        exchange.dropBody()
        stopActions[ObjectIdentifier(exchange)] = nil
        taskEnded()
    }

    func whenStopping(_ exchange: Exchange, _ action: @escaping () -> Void) {
        if isDraining { return action() }
        stopActions[ObjectIdentifier(exchange)] = action
    }

    func requestRefused(_ problem: Problem) {
        refusals.add()
        log.info(
            "request refused",
            ["http.status": .integer(problem.status), "code": .string(problem.code.rawValue), "reason": .string(problem.message)])
    }

    var hasRoomForBody: Bool { bufferedBodyBytes < configuration.bufferedBodyBytesMax }

    /// Counts bytes of a body against the loop's budget.
    /// - Returns: false if they are beyond it.
    func bufferBody(_ count: Int) -> Bool {
        bufferedBodyBytes += count
        return bufferedBodyBytes <= configuration.bufferedBodyBytesMax
    }

    func forgetBody(_ count: Int) { bufferedBodyBytes -= count }

    /// Counts a change of the bytes that wait for a client. Beyond the loop's budget, the slowest client is given up.
    func waitingOutput(changedBy count: Int) {
        waitingOutputBytes += count
        guard count > 0, waitingOutputBytes > configuration.waitingOutputBytesMax else { return }
        guard let slowest = connections.values.max(by: { $0.waitingBytes < $1.waitingBytes }) else { return }
        log.warning("client too slow", ["waiting.bytes": .integer(slowest.waitingBytes)])
        slowest.giveUp()
    }

    /// Returns the refusal of an upload that cannot be stored.
    func refusal(_ error: UploadError) -> Problem {
        log.warning("upload failed", error: error)
        return .overloaded()
    }

    // MARK: What connections share

    /// Buffers kept for the next answer; more, or larger ones, are freed.
    private static let buffersMax = 64
    private static let bufferBytesMax = 64 << 10

    func takeBuffer(_ buffer: inout [UInt8]) {
        if let kept = buffers.popLast() { buffer = kept } else { buffer.reserveCapacity(2_048) }
    }

    func returnBuffer(_ buffer: inout [UInt8]) {
        var returned: [UInt8] = []
        swap(&returned, &buffer)
        guard buffers.count < Self.buffersMax, returned.capacity <= Self.bufferBytesMax else { return }
        returned.removeAll(keepingCapacity: true)
        buffers.append(returned)
    }

    /// Returns `date: …\r\n`, written again when the second changes.
    func dateLine() -> [UInt8] { date.line(now: loop.now) }
}

/// The decision of a server by the head of a request.
package struct Admission: Sendable {
    package typealias Check = @Sendable () async throws(Problem) -> Void

    /// The limit of the body in bytes.
    package var bodyBytesMax: Int
    /// True if the body becomes an upload.
    package var isUpload: Bool
    /// Set if the body is read only after it, because the caller is not known yet.
    package var check: Check?

    package init(bodyBytesMax: Int, isUpload: Bool = false, check: Check? = nil) {
        (self.bodyBytesMax, self.isUpload, self.check) = (bodyBytesMax, isUpload, check)
    }
}

/// Owns the listening socket.
private final class Acceptor: IOHandler {
    private let listener: Int32
    private let server: HTTPServer
    private var isStopped = false

    init(_ listener: Int32, server: HTTPServer) {
        self.listener = listener
        self.server = server
        super.init()
        server.loop.watch(listener, for: .readable, self)
    }

    override func ready(_ events: IOEvents) {
        for _ in 0..<64 {
            if let descriptor = TCP.accept(listener) {
                server.accepted(descriptor)
                continue
            }
            // Out of descriptors the listener would stay readable: it rests until some have come back.
            if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM { rest() }
            return
        }
    }

    private func rest() {
        server.loop.modify(listener, for: [])
        server.loop.schedule(after: .milliseconds(100)) { [self] in
            if !isStopped { server.loop.modify(listener, for: .readable) }
        }
    }

    /// Accepts what waits in the kernel, since closing the listener would reset it, and closes the listener.
    func stop() {
        isStopped = true
        for _ in 0..<server.configuration.backlog {
            guard let descriptor = TCP.accept(listener) else { break }
            server.accepted(descriptor)
        }
        server.loop.unwatch(listener)
        close(listener)
    }
}
