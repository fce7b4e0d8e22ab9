package import EventLoop
package import HTTPWire
package import TLS
package import Uploads

/// Kept connections to one origin on one loop: the way to providers.
///
/// A call takes the connection used last, or opens one; above ``Configuration/connectionsMax`` it waits in line. A request
/// leaves in one `send`; reads go to the caller without a copy. A kept connection on which the server
/// has ended or has sent bytes is closed instead of used. A request is sent a second time only if
/// the server cannot have read a byte of it: it ended a kept connection before. Confined to its
/// loop.
package final class UpstreamPool: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.

    package struct Configuration: Sendable {
        /// Open connections, busy and idle. One more call waits in line.
        package var connectionsMax = 4_096
        /// Idle connections kept for later; what exceeds it is closed.
        package var idleMax = 256
        /// Calls in line; one more is refused with `.saturated`.
        package var waitingMax = 1_024
        /// In line, then `.saturated`.
        package var waitWithin = Duration.seconds(5)
        // Deadlines below are looked at once a second, so up to a second late.
        /// The time for name look-up, TCP and TLS together, over all addresses of the host.
        package var connectWithin = Duration.seconds(5)
        /// The time for the first byte of an answer, for calls without a time of their own.
        package var firstByteWithin = Duration.seconds(120)
        /// The addresses that the host's name may stand for.
        package var permits = PermittedAddresses.all
        package var gapWithin = Duration.seconds(120)
        /// Shorter than the idle time of the servers we call, or they close first.
        package var idleWithin = Duration.seconds(55)
        /// A connection of this age is closed after its call, however busy it is. Otherwise calls
        /// would stay at addresses that the host's name has left.
        package var ageMax = Duration.seconds(600)

        package init() {}
    }

    package let origin: Origin
    let loop: EventLoop
    let configuration: Configuration
    let tls: TLSClientContext?
    private let resolver: Resolver
    private let hostLine: [UInt8]

    private var connections: [ObjectIdentifier: UpstreamConnection] = [:]
    private var idle: [UpstreamConnection] = []
    private var waiting: [UpstreamResponse] = []
    private var waitingFirst = 0
    private var isClosed = false

    /// - Parameter tls: for an `https` origin; share one between pools. Made here when nil.
    /// - Throws: ``UpstreamError`` when TLS cannot be set up.
    package init(
        loop: EventLoop, origin: Origin, configuration: Configuration = Configuration(), tls: TLSClientContext? = nil
    ) throws(UpstreamError) {
        do throws(TLSError) {
            if origin.scheme == .http {
                self.tls = nil
            } else if let tls {
                self.tls = tls
            } else {
                self.tls = try TLSClientContext()
            }
        } catch {
            throw UpstreamError(.tlsFailed(error.description))
        }
        (self.loop, self.origin, self.configuration) = (loop, origin, configuration)
        resolver = Resolver(loop: loop, origin: origin, permits: configuration.permits)
        hostLine = Array(" HTTP/1.1\r\nHost: \(origin.authority)\r\n".utf8)
    }

    package var openCount: Int { connections.count }
    package var idleCount: Int { idle.count }
    package var waitingCount: Int { waiting.count - waitingFirst }

    /// Sends a request and waits for the head of its answer: ``begin(method:target:headers:body:)`` and then
    /// ``UpstreamResponse/head()``. Cancelling the task cancels the call.
    package func send(
        method: StaticString, target: [UInt8], headers: HeaderBlock, body: [UInt8]
    ) async throws(UpstreamError) -> UpstreamResponse {
        let call = begin(method: method, target: target, headers: headers, body: body)
        try await call.head()
        return call
    }

    /// Sends a request at once when a connection is free. The call can be cancelled from here on, before its head has come.
    /// - Parameters:
    ///   - target: path and query, percent-encoded.
    ///   - headers: hop-by-hop fields and `Host` are left out; `Content-Length` is written from `body`.
    ///   - firstByteWithin: the time for the first byte of the answer; nil for that of the pool.
    package func begin(
        method: StaticString, target: [UInt8], headers: HeaderBlock, body: [UInt8], firstByteWithin: Duration? = nil
    ) -> UpstreamResponse {
        begin(method, target, request(method, target, headers, body), nil, firstByteWithin)
    }

    /// Sends a request whose body is built from an upload. The bytes go from the file to the socket,
    /// as it takes them; the call keeps the upload until its answer begins or it ends. All else is as
    /// with a body in memory. A segment beyond the upload is an error of the caller, and traps.
    package func begin(
        method: StaticString, target: [UInt8], headers: HeaderBlock, body segments: [BodySegment], of upload: Upload,
        firstByteWithin: Duration? = nil
    ) -> UpstreamResponse {
        let body = SegmentedBody(segments, of: upload)
        return begin(method, target, head(method, target, headers, bodyCount: body.count), body, firstByteWithin)
    }

    private func begin(
        _ method: StaticString, _ target: [UInt8], _ request: [UInt8], _ segments: SegmentedBody?, _ firstByteWithin: Duration?
    ) -> UpstreamResponse {
        loop.preconditionCurrent()
        let call = UpstreamResponse(
            loop: loop, request: request, segments: segments,
            isHead: method.utf8CodeUnitCount == 4 && method.utf8Start.pointee == 0x48,
            firstByteWithin: firstByteWithin ?? configuration.firstByteWithin)
        if isClosed {
            call.fail(UpstreamError(.cancelled, "the pool is closed"))
        } else if !target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            call.fail(UpstreamError(.malformed, "a byte that no request target may hold"))
        } else {
            start(call)
        }
        return call
    }

    /// Closes what is idle and cancels what waits in line; running calls go on to their end and close theirs.
    package func close() {
        loop.preconditionCurrent()
        isClosed = true
        for connection in idle { connection.close() }
        for call in waiting[waitingFirst...] { call.fail(UpstreamError(.cancelled, "the pool is closed")) }
        (waiting, waitingFirst) = ([], 0)
    }

    private func request(_ method: StaticString, _ target: [UInt8], _ headers: HeaderBlock, _ body: [UInt8]) -> [UInt8] {
        var bytes = head(method, target, headers, bodyCount: body.count, extraCapacity: body.count)
        bytes.append(contentsOf: body)
        return bytes
    }

    /// - Parameter extraCapacity: the bytes that the caller appends.
    private func head(
        _ method: StaticString, _ target: [UInt8], _ headers: HeaderBlock, bodyCount: Int, extraCapacity: Int = 0
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1_024 + target.count + extraCapacity)
        bytes.append(method)
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: target)
        bytes.append(contentsOf: hostLine)
        for index in 0..<headers.count where !headers.isHopByHop(at: index) && !headers.isNamed("host", at: index) {
            headers.write(at: index, to: &bytes)
        }
        let isBodyless = bodyCount == 0 && (method.utf8Start.pointee == 0x47 || method.utf8Start.pointee == 0x48)  // GET, HEAD
        if !isBodyless {
            bytes.append("Content-Length: ")
            bytes.append(decimal: bodyCount)
            bytes.append("\r\n")
        }
        bytes.append("\r\n")
        return bytes
    }

    // MARK: Connections

    private func start(_ call: UpstreamResponse) {
        dropFinishedWaiters()
        while let kept = idle.popLast() {
            if kept.isQuiet { return kept.run(call) }
            kept.close()
        }
        if connections.count < configuration.connectionsMax {
            open(call)
        } else if waitingCount < configuration.waitingMax {
            waiting.append(call)
            loop.schedule(after: configuration.waitWithin) { [weak call] in
                guard let call, call.connection == nil else { return }
                call.fail(UpstreamError(.saturated, "no connection within \(self.configuration.waitWithin)"))
            }
        } else {
            call.fail(UpstreamError(.saturated, "\(configuration.waitingMax) calls wait already"))
        }
    }

    private func open(_ call: UpstreamResponse) {
        let connection = UpstreamConnection(self)
        connections[ObjectIdentifier(connection)] = connection
        connection.run(call)
        resolver.addresses(within: configuration.connectWithin) { result in
            switch result {
            case .success(let addresses): connection.connect(to: addresses)
            case .failure(let error): connection.connectFailed(error)
            }
        }
    }

    /// On a new connection, as an idle one may be as dead as the last. Its slot is the one just freed.
    func retry(_ call: UpstreamResponse) { open(call) }

    func keep(_ connection: UpstreamConnection) {
        if isClosed || idle.count >= configuration.idleMax || connection.isOld { return connection.close() }
        idle.append(connection)
    }

    func forget(_ connection: UpstreamConnection) {
        connections[ObjectIdentifier(connection)] = nil
        if let index = idle.firstIndex(where: { $0 === connection }) { idle.remove(at: index) }
    }

    /// Gives the first calls in line whatever has become free.
    func serveNext() {
        dropFinishedWaiters()
        while waitingFirst < waiting.count, !idle.isEmpty || connections.count < configuration.connectionsMax {
            let call = waiting[waitingFirst]
            waitingFirst += 1
            dropFinishedWaiters()
            start(call)
        }
    }

    /// Drops calls that were cancelled or waited too long: at the front of the line, and in the
    /// middle when the line is full.
    private func dropFinishedWaiters() {
        while waitingFirst < waiting.count, waiting[waitingFirst].isOver { waitingFirst += 1 }
        let isFull = waitingCount >= configuration.waitingMax
        if waitingFirst == waiting.count || waitingFirst > 256 || isFull {
            waiting.removeFirst(waitingFirst)
            waitingFirst = 0
        }
        if isFull { waiting.removeAll { $0.isOver } }
    }
}
