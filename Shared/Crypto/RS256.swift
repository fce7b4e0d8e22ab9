import COpenSSL

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3). Other servers sign with it; nothing of ours does.
package struct RS256PublicKey: Sendable {
    /// RFC 7518 §3.3 asks for 2,048 bits. A verification with 4,096 bits takes about 0.1 ms.
    package static let modulusBits = 2_048...4_096

    private let key: KeyHandle

    /// Nil unless the modulus has ``modulusBits`` and the exponent is an odd number of 3 to 2³² − 1.
    /// - Parameters:
    ///   - modulus: big-endian, like the exponent. Leading zeros are ignored.
    package init?(modulus: [UInt8], exponent: [UInt8]) {
        let (modulus, exponent) = (Array(modulus.drop { $0 == 0 }), Array(exponent.drop { $0 == 0 }))
        guard let first = modulus.first, Self.modulusBits.contains(modulus.count * 8 - first.leadingZeroBitCount),
            (1...4).contains(exponent.count), let last = exponent.last, last & 1 == 1, exponent != [1],
            let key = KeyHandle(publicDER: Self.subjectPublicKeyInfo(modulus, exponent))
        else { return nil }
        self.key = key
    }

    /// False for any signature whose length is not that of the modulus.
    package func verify(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        let digest = sha256(message).bytes
        let context = EVP_PKEY_CTX_new(key.pointer, nil)
        defer {
            EVP_PKEY_CTX_free(context)
            ERR_clear_error()
        }
        return EVP_PKEY_verify_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1
            && EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1
            && EVP_PKEY_verify(context, signature, signature.count, digest, digest.count) == 1
    }

    // rsaEncryption with NULL parameters (RFC 3279 §2.3.1), then the key as a bit string without unused bits.
    private static func subjectPublicKeyInfo(_ modulus: [UInt8], _ exponent: [UInt8]) -> [UInt8] {
        let algorithm: [UInt8] = [0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00]
        return value(0x30, algorithm + value(0x03, [0] + value(0x30, integer(modulus) + integer(exponent))))
    }

    private static func integer(_ digits: [UInt8]) -> [UInt8] { value(0x02, (digits[0] >= 0x80 ? [0] : []) + digits) }

    /// A DER value of at most 65,535 bytes.
    private static func value(_ tag: UInt8, _ body: [UInt8]) -> [UInt8] {
        let count = body.count
        let length: [UInt8] =
            count < 0x80 ? [UInt8(count)] : count < 0x100 ? [0x81, UInt8(count)] : [0x82, UInt8(count >> 8), UInt8(count & 0xFF)]
        return [tag] + length + body
    }
}
