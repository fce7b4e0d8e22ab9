package import EventLoop
import Glibc
import Synchronization

/// A server of raw bytes on 127.0.0.1: every connection runs `script` on a thread of its own, so a test says exactly what the peer
/// does and in which order. Blocking calls give up after ten seconds, so a broken test fails instead of hanging.
package final class ScriptedServer: Sendable {
    package let port: Int
    private let listener: Int32
    private let accepted = Mutex(0)

    /// - Parameters:
    ///   - receiveBuffer: the bytes that the kernel takes before the script reads, about.
    ///   - script: gets the connection, numbered from 1. When it returns, the connection is closed.
    package init(receiveBuffer: Int32? = nil, _ script: @escaping @Sendable (ScriptedPeer) -> Void) {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if var size = receiveBuffer { setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        port = withUnsafeMutablePointer(to: &address) { [listener] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                precondition(bind(listener, generic, length) == 0 && listen(listener, 256) == 0, "no free port")
                getsockname(listener, generic, &length)
            }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
        signal(SIGPIPE, SIG_IGN)
        spawnThread(name: "scripted") { [listener, weak self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else {
                    // Closed by the thread that accepts: closed elsewhere, its number could be another test's by the next accept.
                    close(listener)
                    return
                }
                setCloseOnExec(descriptor)
                let number = self?.countOne() ?? 0
                spawnThread(name: "scripted-\(number)") {
                    let peer = ScriptedPeer(descriptor, number: number)
                    script(peer)
                    peer.close()
                }
            }
        }
    }

    /// Running scripts go on to their end.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    package var connections: Int { accepted.withLock { $0 } }

    private func countOne() -> Int {
        accepted.withLock {
            $0 += 1
            return $0
        }
    }
}

/// The server's end of one connection. Used by the script's thread alone.
package final class ScriptedPeer {
    package let number: Int
    private var descriptor: Int32
    private var unread: [UInt8] = []

    fileprivate init(_ descriptor: Int32, number: Int) {
        (self.descriptor, self.number) = (descriptor, number)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// The next whole request (head, and a body of `Content-Length`), or nil when the client has hung up.
    package func request() -> String? {
        while true {
            if let text = takeRequest() { return text }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            unread.append(contentsOf: buffer[..<count])
        }
    }

    private func takeRequest() -> String? {
        let text = String(decoding: unread, as: UTF8.self)
        guard let head = text.range(of: "\r\n\r\n") else { return nil }
        var size = text[..<head.upperBound].utf8.count
        for line in text[..<head.lowerBound].split(separator: "\r\n") where line.lowercased().hasPrefix("content-length:") {
            size += Int(line.drop { $0 != ":" }.dropFirst().filter(\.isNumber)) ?? 0
        }
        guard unread.count >= size else { return nil }
        defer { unread.removeFirst(size) }
        return String(decoding: unread[..<size], as: UTF8.self)
    }

    /// Returns the next line without its CR LF, or nil when the client has hung up.
    package func line() -> String? {
        while true {
            if let end = unread.firstIndex(of: 10) {
                defer { unread.removeFirst(end + 1) }
                return String(decoding: unread[..<end].filter { $0 != 13 }, as: UTF8.self)
            }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            unread.append(contentsOf: buffer[..<count])
        }
    }

    /// Returns the next `count` bytes, or nil when the client has hung up.
    package func read(_ count: Int) -> [UInt8]? {
        while unread.count < count {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let received = recv(descriptor, &buffer, buffer.count, 0)
            guard received > 0 else { return nil }
            unread.append(contentsOf: buffer[..<received])
        }
        defer { unread.removeFirst(count) }
        return Array(unread[..<count])
    }

    /// Reads nothing until what the client sends fills the buffers of both ends, so that no further
    /// byte comes for so many milliseconds.
    package func waitUntilFull(quietFor milliseconds: Int) {
        var (waiting, quiet) = (Int32(0), 0)
        while quiet < milliseconds / 10 {
            poll(nil, 0, 10)
            var now: Int32 = 0
            _ = ioctl(descriptor, UInt(FIONREAD), &now)
            quiet = now > 0 && now == waiting ? quiet + 1 : 0
            waiting = now
        }
    }

    /// False when the client is gone.
    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Sends `bytes` over and over until the client has read nothing for 50 ms with every buffer full; answers how many went.
    package func sendUntilBlocked(_ bytes: [UInt8]) -> Int {
        var total = 0
        var status = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        while poll(&status, 1, 50) == 1 {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress! + total % $0.count, $0.count - total % $0.count,
                    Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            guard count > 0 || errno == EAGAIN else { break }
            total += max(0, count)
        }
        return total
    }

    /// Waits until the client has closed its end; what it still sends is dropped. False after ten seconds.
    package func waitForHangup() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 || (count < 0 && errno != EAGAIN) { return true }
            if count < 0 { return false }
        }
    }

    /// Carries bytes both ways between the client and `port` of this machine, until one of them hangs up or the wire is cut.
    package func forward(to port: Int, isCut: () -> Bool) {
        guard !isCut() else { return }
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { Glibc.close(server) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isCut() {
            var ends = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: server, events: Int16(POLLIN), revents: 0)]
            guard poll(&ends, 2, 20) >= 0 else { return }
            for (from, to) in [(0, 1), (1, 0)] where ends[from].revents != 0 {
                let count = recv(ends[from].fd, &buffer, buffer.count, 0)
                guard count > 0, Glibc.send(ends[to].fd, buffer, count, Int32(MSG_NOSIGNAL)) == count else { return }
            }
        }
    }

    /// Ends the connection with RST instead of FIN.
    package func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Sends FIN. The bytes that the client still sends wait unread.
    package func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends the connection before the script returns.
    package func close() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }
}

extension String {
    fileprivate func range(of needle: String) -> Range<Index>? { ranges(of: needle).first }
}

/// A door that one thread or task opens and others wait at, for at most ten seconds.
package final class Gate: Sendable {
    private let opened = Mutex(false)
    private let loop: EventLoop
    private let waiters = Mutex<[Promise<Void>]>([])

    package init(on loop: EventLoop) { self.loop = loop }

    package func open() {
        opened.withLock { $0 = true }
        let waiting = waiters.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for waiter in waiting { waiter.succeed(()) }
    }

    package var isOpen: Bool { opened.withLock { $0 } }

    /// Blocks the thread of a script until the gate opens. Returns false if it was not opened in
    /// time.
    package func waitBlocking() -> Bool {
        let end = MonotonicInstant.current() + .seconds(10)
        while !isOpen {
            guard MonotonicInstant.current() < end else { return false }
            poll(nil, 0, 1)
        }
        return true
    }

    /// Suspends a task of the loop until the gate opens.
    package func wait() async throws {
        let waiter = Promise<Void>(on: loop)
        waiters.withLock { $0.append(waiter) }
        if isOpen { waiter.succeed(()) }
        try await waiter.value(within: .seconds(10), elseThrow: GateStayedShut())
    }
}

package struct GateStayedShut: Error {}
