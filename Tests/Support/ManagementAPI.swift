import Glibc

/// RabbitMQ's management API, for test set-up only: one blocking HTTP request a call.
package struct ManagementAPI: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    let host: String
    let port: UInt16
    let credentials: String

    /// - Parameter url: `http://user:password@127.0.0.1:15672`; the host is an IPv4 address.
    package init(_ url: String) throws {
        let malformed = Failure(description: "TEST_RABBITMQ_API is not http://user:password@address:port but \(url)")
        guard url.hasPrefix("http://"), let at = url.lastIndex(of: "@") else { throw malformed }
        credentials = String(url[url.index(url.startIndex, offsetBy: 7)..<at])
        let address = url[url.index(after: at)...].prefix { $0 != "/" }.split(separator: ":")
        guard address.count == 2, let port = UInt16(address[1]) else { throw malformed }
        (host, self.port) = (String(address[0]), port)
    }

    /// - Parameter path: everything after `/api`, percent-encoded.
    @discardableResult
    package func call(_ method: String, _ path: String, body: String = "") throws -> String {
        let request =
            "\(method) /api\(path) HTTP/1.0\r\nhost: \(host)\r\nauthorization: Basic \(base64(Array(credentials.utf8)))\r\n"
            + "content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
        let answer = String(decoding: try exchange(Array(request.utf8)), as: UTF8.self)
        let status = answer.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        guard (200..<300).contains(status) else {
            throw Failure(description: "\(method) /api\(path) answered \(answer.prefix(1_000))")
        }
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count > 1 ? String(parts[1]) : ""
    }

    private func exchange(_ request: [UInt8]) throws -> [UInt8] {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, host, &address.sin_addr)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else { throw Failure(description: "no management API at \(host):\(port): \(String(cString: strerror(errno)))") }
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes { write(descriptor, $0.baseAddress! + sent, $0.count - sent) }
            guard count > 0 else { throw Failure(description: "write: \(String(cString: strerror(errno)))") }
            sent += count
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return answer }
            answer += chunk[..<count]
        }
    }
}

private func base64(_ bytes: [UInt8]) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let padded = Array(group) + Array(repeating: 0, count: 3 - group.count)
        let bits = UInt32(padded[0]) << 16 | UInt32(padded[1]) << 8 | UInt32(padded[2])
        for index in 0..<4 { text.append(index <= group.count ? letters[Int(bits >> UInt32(18 - 6 * index) & 63)] : "=") }
    }
    return text
}
