import COpenSSL

/// ECDSA over P-256 with SHA-256 as JOSE writes it (RFC 7518 §3.4): signatures are r ‖ s, 64 bytes.
///
/// A signature has a twin (r, n − s) that verifies too: never use the bytes of a token as its identity.
package struct ES256PublicKey: Sendable, Equatable {
    /// 32 bytes each.
    package let x: [UInt8]
    package let y: [UInt8]
    private let key: KeyHandle

    /// Nil unless (x, y) is a point of the curve.
    package init?(x: [UInt8], y: [UInt8]) {
        guard x.count == 32, y.count == 32, let key = KeyHandle(publicDER: Self.header + x + y) else { return nil }
        (self.x, self.y, self.key) = (x, y, key)
    }

    fileprivate init(of key: KeyHandle) {
        let point = key.publicDER.suffix(64)
        x = Array(point.prefix(32))
        y = Array(point.suffix(32))
        self.key = key
    }

    package static func == (left: Self, right: Self) -> Bool { left.x == right.x && left.y == right.y }

    /// RFC 7638: SHA-256 of the required members in order, base64url. Our key ids.
    package var thumbprint: String {
        let jwk = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"\(Base64.url.encode(x))\",\"y\":\"\(Base64.url.encode(y))\"}"
        return Base64.url.encode(sha256(jwk).bytes)
    }

    /// About 80 µs. False for any signature that is not exactly 64 bytes or has r or s of 0 or not below the group order.
    package func verify(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == 64 else { return false }
        let der = ECDSASignature.der(raw: signature)
        let digest = sha256(message).bytes
        let context = EVP_PKEY_CTX_new(key.pointer, nil)
        defer {
            EVP_PKEY_CTX_free(context)
            ERR_clear_error()
        }
        return EVP_PKEY_verify_init(context) == 1 && EVP_PKEY_verify(context, der, der.count, digest, digest.count) == 1
    }

    // SubjectPublicKeyInfo of id-ecPublicKey, prime256v1, up to and with the 0x04 of an uncompressed point (RFC 5480 §2).
    private static let header: [UInt8] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01,
        0x07, 0x03, 0x42, 0x00, 0x04,
    ]
}

package struct ES256KeyPair: Sendable {
    package let publicKey: ES256PublicKey
    private let key: KeyHandle

    package static func generate() -> ES256KeyPair {
        let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var pointer: OpaquePointer?
        let made =
            EVP_PKEY_keygen_init(context) == 1
            && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1
            && EVP_PKEY_keygen(context, &pointer) == 1
        precondition(made, "a P-256 key pair cannot be refused")
        return ES256KeyPair(key: KeyHandle(pointer!))
    }

    /// Nil unless `privateDER` is a P-256 private key (RFC 5915, or PKCS #8).
    package init?(privateDER: [UInt8]) {
        guard let key = KeyHandle(privateDER: privateDER) else { return nil }
        self.init(key: key)
    }

    private init(key: KeyHandle) {
        self.key = key
        publicKey = ES256PublicKey(of: key)
    }

    /// The private key itself (RFC 5915): seal it before it is written anywhere.
    package var privateDER: [UInt8] { key.privateDER }

    /// r ‖ s, 64 bytes. About 30 µs.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        let digest = sha256(message).bytes
        let context = EVP_PKEY_CTX_new(key.pointer, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var der = [UInt8](repeating: 0, count: 80)
        var count = der.count
        let signed = EVP_PKEY_sign_init(context) == 1 && EVP_PKEY_sign(context, &der, &count, digest, digest.count) == 1
        precondition(signed, "signing with a key in memory cannot fail")
        return ECDSASignature.raw(der: Array(der.prefix(count)))
    }
}

/// r and s between JOSE's 64 bytes and the DER that OpenSSL speaks.
private enum ECDSASignature {
    static func der(raw: [UInt8]) -> [UInt8] {
        let body = integer(raw[..<32]) + integer(raw[32...])
        return [0x30, UInt8(body.count)] + body
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.isEmpty || digits[0] >= 0x80 { digits.insert(0, at: 0) }
        return [0x02, UInt8(digits.count)] + digits
    }

    static func raw(der: [UInt8]) -> [UInt8] {
        // SEQUENCE, length, INTEGER, length, r…, INTEGER, length, s…: our own library's output, never foreign bytes.
        let countOfR = Int(der[3])
        return padded(der[4..<4 + countOfR]) + padded(der[(6 + countOfR)...])
    }

    private static func padded(_ integer: ArraySlice<UInt8>) -> [UInt8] {
        let digits = integer.drop { $0 == 0 }
        return [UInt8](repeating: 0, count: 32 - digits.count) + digits
    }
}
