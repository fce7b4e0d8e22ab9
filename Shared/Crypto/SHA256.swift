import COpenSSL
import Text

/// 32 bytes of SHA-256, hashable: what caches of secrets are keyed by.
package struct SHA256Digest: Hashable, Sendable {
    package let words: (UInt64, UInt64, UInt64, UInt64)

    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    /// 64 lower-case digits.
    package var hexadecimal: String { Hex.text(bytes) }

    package init?(hexadecimal text: String) {
        guard let bytes = Hex.bytes(text) else { return nil }
        self.init(bytes)
    }

    /// Nil unless `bytes` are exactly 32.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.words = words
    }

    fileprivate init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// Not constant-time: compare secrets with ``constantTimeEqual(_:_:)``.
    package static func == (left: Self, right: Self) -> Bool { left.words == right.words }

    // The digest is uniform already: its first word is as good a hash as all four.
    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

private struct FetchedDigest: @unchecked Sendable {
    // @unchecked Sendable: a fetched EVP_MD is immutable and reference-counted; it is never freed.
    let pointer: OpaquePointer

    static let sha256 = FetchedDigest(pointer: EVP_MD_fetch(nil, "SHA256", nil)!)
}

/// About 0.4 µs for an access token of 600 bytes where the CPU has SHA extensions. Callable from any thread.
package func sha256(_ bytes: UnsafeRawBufferPointer) -> SHA256Digest {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) { out in
        let status = copenssl_sha256(
            FetchedDigest.sha256.pointer, bytes.baseAddress, bytes.count, out.baseAddress!.assumingMemoryBound(to: UInt8.self))
        precondition(status == 1, "SHA-256 of bytes in memory cannot fail")
    }
    return SHA256Digest(words: words)
}

package func sha256(_ bytes: [UInt8]) -> SHA256Digest { bytes.withUnsafeBytes { sha256($0) } }

package func sha256(_ text: some StringProtocol) -> SHA256Digest { sha256(Array(text.utf8)) }

/// RFC 2104 over SHA-256; 32 bytes.
package func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    let answer = HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &out, &count)
    precondition(answer != nil && count == 32, "HMAC of bytes in memory cannot fail")
    return out
}

/// RFC 5869 with an empty salt, one block: 32 bytes derived from a key that is uniform already.
package func hkdfSHA256(key: [UInt8], info: String) -> [UInt8] {
    let extracted = hmacSHA256(key: [UInt8](repeating: 0, count: 32), key)
    return hmacSHA256(key: extracted, Array(info.utf8) + [1])
}

/// The time depends on the lengths only.
package func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}

/// Returns random bytes from OpenSSL's generator, which the operating system seeds. Traps if the generator fails.
package func randomBytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        precondition(RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "no entropy")
        initialized = count
    }
}
