package import Foundation

/// A self-signed certificate made by the `openssl` tool for one test, with its key, in a directory that dies with it.
package final class TestCertificate: Sendable {
    package let directory: URL
    package var certificate: String { directory.appending(path: "certificate.pem").path }
    package var key: String { directory.appending(path: "key.pem").path }

    /// - Parameters:
    ///   - names: subject alternative names as openssl writes them: `DNS:localhost,IP:127.0.0.1`.
    ///   - days: until it expires; negative for one that already has.
    package init(names: String = "DNS:localhost,IP:127.0.0.1", days: Int = 2) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "certificate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try "subjectAltName=\(names)\nbasicConstraints=critical,CA:TRUE\n"
            .write(to: directory.appending(path: "extensions"), atomically: true, encoding: .utf8)
        let path = { [directory] (name: String) in directory.appending(path: name).path }
        try PipedProcess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test"]
                + ["-keyout", key, "-out", path("request.pem")])
        try PipedProcess.run(
            ["openssl", "x509", "-req", "-in", path("request.pem"), "-signkey", key, "-days", "\(days)"]
                + ["-extfile", path("extensions"), "-out", certificate])
    }

    deinit { try? FileManager.default.removeItem(at: directory) }
}
