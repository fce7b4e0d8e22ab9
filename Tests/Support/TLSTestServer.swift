import Foundation
import Glibc

/// `openssl s_server` with its standard input and output as the application: one connection at a time, bytes as they are.
package final class TLSTestServer: @unchecked Sendable {
    // @unchecked Sendable: the process and its pipes are made once; each pipe end is used by one thread at a time.
    package let port: Int
    private let process = Process()
    private let toClient = Pipe()
    private let fromClient = Pipe()

    package init(_ certificate: TestCertificate, options: [String] = []) throws {
        port = Self.freePort()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["openssl", "s_server", "-quiet", "-accept", "127.0.0.1:\(port)", "-cert", certificate.certificate, "-key", certificate.key]
            + options
        process.standardInput = toClient
        process.standardOutput = fromClient
        process.standardError = FileHandle.nullDevice
        try process.run()
        try waitUntilListening()
    }

    deinit { stop() }

    /// Kills the server: the client sees TCP end without TLS's closing alert.
    package func stop() {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    package func send(_ text: String) throws { try toClient.fileHandleForWriting.write(contentsOf: Data(text.utf8)) }

    /// Blocks until the client has sent `text`.
    package func read(until text: String) throws -> String {
        var got = Data()
        while let more = try fromClient.fileHandleForReading.read(upToCount: 65_536), !more.isEmpty {
            got.append(more)
            if String(decoding: got, as: UTF8.self).hasSuffix(text) { break }
        }
        return String(decoding: got, as: UTF8.self)
    }

    private static func freePort() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
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
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
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
        throw OpenSSLFailed(arguments: "s_server", status: -1)
    }
}
