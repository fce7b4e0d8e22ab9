import COpenSSL

/// Owns an `EVP_PKEY`.
final class KeyHandle: @unchecked Sendable {
    // @unchecked Sendable: an EVP_PKEY that is only read may be used by several threads; the pointer is never changed.
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { EVP_PKEY_free(pointer) }

    /// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1).
    convenience init?(publicDER: [UInt8]) {
        var cursor: UnsafePointer<UInt8>?
        let pointer: OpaquePointer? = publicDER.withUnsafeBufferPointer { bytes in
            cursor = bytes.baseAddress
            return d2i_PUBKEY(nil, &cursor, bytes.count)
        }
        guard let pointer else {
            ERR_clear_error()
            return nil
        }
        self.init(pointer)
    }

    /// Reads a private key on the P-256 curve.
    convenience init?(privateDER: [UInt8]) {
        var cursor: UnsafePointer<UInt8>?
        let pointer: OpaquePointer? = privateDER.withUnsafeBufferPointer { bytes in
            cursor = bytes.baseAddress
            return d2i_AutoPrivateKey(nil, &cursor, bytes.count)
        }
        guard let pointer else {
            ERR_clear_error()
            return nil
        }
        self.init(pointer)
        guard publicDER.count == 91, EVP_PKEY_get_id(pointer) == EVP_PKEY_EC, EVP_PKEY_get_bits(pointer) == 256 else { return nil }
    }

    var publicDER: [UInt8] { write { i2d_PUBKEY(pointer, &$0) } }
    var privateDER: [UInt8] { write { i2d_PrivateKey(pointer, &$0) } }

    private func write(_ encode: (inout UnsafeMutablePointer<UInt8>?) -> Int32) -> [UInt8] {
        var start: UnsafeMutablePointer<UInt8>?
        let count = encode(&start)
        precondition(count > 0, "a key in memory can be written")
        defer { CRYPTO_clear_free(start, Int(count), nil, 0) }
        return Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }
}
