import CLinux
import Glibc

/// Why a socket could not be made ready: the call that failed and errno's text.
package struct SocketError: Error, CustomStringConvertible, Sendable {
    package let call: StaticString
    package let number: Int32
    package var description: String { "\(call): \(String(cString: strerror(number)))" }
}

/// Non-blocking TCP sockets; every descriptor given out here is the caller's to close.
package enum TCP {
    /// Listens on a numeric address (`127.0.0.1`, `0.0.0.0`, `::`), or on `localhost`, which means 127.0.0.1.
    /// - Parameter port: 0 lets the kernel choose; ask ``port(of:)``.
    package static func listen(host: String, port: Int, backlog: Int, reusePort: Bool) throws(SocketError) -> Int32 {
        let host = host == "localhost" ? "127.0.0.1" : host
        var v4 = sockaddr_in()
        var v6 = sockaddr_in6()
        let isV4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1
        guard isV4 || inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 else { throw SocketError(call: "inet_pton", number: EINVAL) }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(isV4 ? AF_INET : AF_INET6, type, 0)
        guard descriptor >= 0 else { throw SocketError(call: "socket", number: errno) }
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if reusePort { set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        let bound: Int32
        if isV4 {
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = in_port_t(port).bigEndian
            bound = withUnsafePointer(to: v4) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        } else {
            v6.sin6_family = sa_family_t(AF_INET6)
            v6.sin6_port = in_port_t(port).bigEndian
            bound = withUnsafePointer(to: v6) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        guard bound == 0, Glibc.listen(descriptor, Int32(backlog)) == 0 else {
            let error = SocketError(call: bound == 0 ? "listen" : "bind", number: errno)
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// The time in which a client must acknowledge what we sent. Then the kernel ends the
    /// connection, so that no answer is made for a client whose host or network has failed.
    package static let acceptedAcknowledgesWithin = Duration.seconds(30)

    /// Takes the next waiting connection, non-blocking and without Nagle's delay. Nil sets errno:
    /// EAGAIN if none waits.
    package static func accept(_ listener: Int32) -> Int32? {
        let descriptor = accept4(listener, nil, nil, Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue))
        guard descriptor >= 0 else { return nil }
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        acknowledge(descriptor, within: acceptedAcknowledgesWithin)
        return descriptor
    }

    /// Bounds the time for which sent bytes stay without acknowledgement (`TCP_USER_TIMEOUT`,
    /// tcp(7)).
    package static func acknowledge(_ descriptor: Int32, within limit: Duration) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(limit.milliseconds))
    }

    package static func port(of descriptor: Int32) -> Int {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        // The port stands at the same place in both address families.
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Int(in_port_t(bigEndian: $0.pointee.sin_port)) }
        }
    }

    /// The peer's numeric address without its port; empty when it has gone.
    package static func peerAddress(of descriptor: Int32) -> String {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) }
        }
        guard status == 0 else { return "" }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let found = withUnsafePointer(to: address) { pointer -> Bool in
            if Int32(address.ss_family) == AF_INET6 {
                return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { v6 in
                    withUnsafePointer(to: v6.pointee.sin6_addr) { inet_ntop(AF_INET6, $0, &text, socklen_t(text.count)) } != nil
                }
            }
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { v4 in
                withUnsafePointer(to: v4.pointee.sin_addr) { inet_ntop(AF_INET, $0, &text, socklen_t(text.count)) } != nil
            }
        }
        return found ? String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : ""
    }

    /// Makes the coming `close` send RST, which no reader takes for the end of a body.
    package static func resetOnClose(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
