import COpenSSL

/// AES-256-GCM with a random 96-bit nonce in front and the 128-bit tag behind.
///
/// One key seals at most 2^32 messages (SP 800-38D §8.3): enough for keys at rest, not for a stream of messages.
package struct AESGCM: Sendable {
    package enum Failure: Error, Equatable { case notAuthentic }

    private let key: [UInt8]

    /// - Parameter key: 32 bytes.
    package init(key: [UInt8]) {
        precondition(key.count == 32, "AES-256 takes a key of 32 bytes, not \(key.count)")
        self.key = key
    }

    /// `nonce ‖ ciphertext ‖ tag`: 28 bytes longer than the plain text.
    package func seal(_ plaintext: [UInt8], authenticating context: [UInt8]) -> [UInt8] {
        seal(plaintext, authenticating: context, nonce: randomBytes(12))
    }

    func seal(_ plaintext: [UInt8], authenticating context: [UInt8], nonce: [UInt8]) -> [UInt8] {
        let cipher = EVP_CIPHER_CTX_new()!
        defer { EVP_CIPHER_CTX_free(cipher) }
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: 16)
        var count: Int32 = 0
        let sealed =
            EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), nil, key, nonce) == 1
            && EVP_EncryptUpdate(cipher, nil, &count, context, Int32(context.count)) == 1
            && EVP_EncryptUpdate(cipher, &ciphertext, &count, plaintext, Int32(plaintext.count)) == 1
            && EVP_EncryptFinal_ex(cipher, nil, &count) == 1
            && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, &tag) == 1
        precondition(sealed, "AES-GCM of bytes in memory cannot fail")
        return nonce + ciphertext + tag
    }

    /// - Throws: ``Failure/notAuthentic`` for another key, another context, or one changed bit. The three cannot be told apart.
    package func open(_ box: [UInt8], authenticating context: [UInt8]) throws(Failure) -> [UInt8] {
        guard box.count >= 28 else { throw .notAuthentic }
        let cipher = EVP_CIPHER_CTX_new()!
        defer { EVP_CIPHER_CTX_free(cipher) }
        let nonce = Array(box.prefix(12))
        let ciphertext = Array(box.dropFirst(12).dropLast(16))
        var tag = Array(box.suffix(16))
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count)
        var count: Int32 = 0
        guard
            EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), nil, key, nonce) == 1,
            EVP_DecryptUpdate(cipher, nil, &count, context, Int32(context.count)) == 1,
            EVP_DecryptUpdate(cipher, &plaintext, &count, ciphertext, Int32(ciphertext.count)) == 1,
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, 16, &tag) == 1,
            EVP_DecryptFinal_ex(cipher, nil, &count) == 1
        else { throw .notAuthentic }
        return plaintext
    }
}
