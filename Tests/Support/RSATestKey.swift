import Foundation

/// An RSA key of 2,048 bits made by the `openssl` tool, in a directory that dies with it.
package final class RSATestKey: Sendable {
    private let directory: URL
    /// Big-endian.
    package let modulus: [UInt8]
    package let exponent: [UInt8]
    /// The SubjectPublicKeyInfo.
    package let publicDER: [UInt8]

    package init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "rsa-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let path = { [directory] (name: String) in directory.appending(path: name).path }
        try PipedProcess.run(
            ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path("key.pem")])
        try PipedProcess.run(["openssl", "pkey", "-in", path("key.pem"), "-pubout", "-outform", "DER", "-out", path("public.der")])
        publicDER = Array(try Data(contentsOf: directory.appending(path: "public.der")))
        // 33 bytes of header, the modulus, two bytes of header, the exponent.
        (modulus, exponent) = (Array(publicDER[33..<289]), Array(publicDER[291...]))
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// Signs with a digest of openssl, in PKCS #1 v1.5.
    /// - Parameter options: further arguments of `openssl dgst`.
    package func sign(_ message: [UInt8], digest: String = "sha256", options: [String] = []) throws -> [UInt8] {
        let name = UUID().uuidString
        let (input, output) = (directory.appending(path: name), directory.appending(path: name + ".sig"))
        try Data(message).write(to: input)
        try PipedProcess.run(
            ["openssl", "dgst", "-\(digest)", "-sign", directory.appending(path: "key.pem").path] + options + [
                "-out", output.path, input.path,
            ])
        return Array(try Data(contentsOf: output))
    }
}
