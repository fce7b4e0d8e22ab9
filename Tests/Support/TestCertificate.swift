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
        try openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout key.pem -out request.pem")
        try openssl("x509 -req -in request.pem -signkey key.pem -days \(days) -extfile extensions -out certificate.pem")
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func openssl(_ arguments: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = directory
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw OpenSSLFailed(arguments: arguments, status: process.terminationStatus) }
    }
}

package struct OpenSSLFailed: Error {
    package let arguments: String
    package let status: Int32
}
