import Glibc

/// `openssl s_server` with its standard input and output as the application: one connection at a time, bytes as they are.
package final class TLSTestServer: Sendable {
    package let port: Int
    private let process: PipedProcess

    package init(_ certificate: TestCertificate, options: [String] = []) throws {
        signal(SIGPIPE, SIG_IGN)
        port = Self.freePort()
        process = try PipedProcess(
            ["openssl", "s_server", "-quiet", "-accept", "127.0.0.1:\(port)", "-cert", certificate.certificate, "-key", certificate.key]
                + options)
        try waitUntilListening()
    }

    deinit { stop() }

    /// Kills the server: the client sees TCP end without TLS's closing alert.
    package func stop() { process.kill() }

    package func send(_ text: String) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { write(process.input, $0.baseAddress! + sent, $0.count - sent) }
            guard count > 0 else { return }
            sent += count
        }
    }

    /// Blocks until the client has sent `text`, or the server has ended.
    package func read(until text: String) -> String {
        var got: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(process.output, &buffer, buffer.count)
            if count > 0 { got.append(contentsOf: buffer[..<count]) }
            let all = String(decoding: got, as: UTF8.self)
            if count <= 0 || all.hasSuffix(text) { return all }
        }
    }

    private static func freePort() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                _ = bind(descriptor, generic, length)
                getsockname(descriptor, generic, &length)
            }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        return address
    }

    /// A connection that says nothing and closes is dropped by s_server, which then takes the next.
    private func waitUntilListening() throws {
        for _ in 0..<1_000 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            defer { close(descriptor) }
            var address = Self.loopback(port: port)
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { return }
            poll(nil, 0, 10)
        }
        throw CommandFailed(["s_server"], ETIMEDOUT)
    }
}
