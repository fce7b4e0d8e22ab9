import Text

/// The key that seals other secrets at rest; it never leaves the process that was given it.
///
/// A sealed value names the key it was sealed with (`1 ‖ key id (4) ‖ AES-GCM box`), so that a second key can be introduced
/// while values of the first are still around, and a wrong key is told from a damaged value.
package struct MasterKey: Sendable, CustomStringConvertible, CustomReflectable {
    package enum Failure: Error, Equatable {
        case malformed
        /// Sealed with a key whose id is not ours.
        case otherKey(id: String)
        case notAuthentic
    }

    /// Eight hexadecimal digits: derived one-way from the key, safe to log.
    package let id: String
    let idBytes: [UInt8]
    private let key: [UInt8]

    /// Nil unless `base64` is 32 bytes in standard base64.
    package init?(base64: String) {
        guard let bytes = Base64.standard.decode(base64), bytes.count == 32 else { return nil }
        key = bytes
        idBytes = Array(hkdfSHA256(key: bytes, info: "kek id v1").prefix(4))
        id = Hex.text(idBytes)
    }

    package var description: String { "MasterKey(\(id))" }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }

    /// A key for one purpose, as good as independent of the others.
    package func derived(for purpose: String) -> [UInt8] { hkdfSHA256(key: key, info: purpose) }

    /// - Parameter context: says what the value is and whose ("signing_key/<kid>"); opening under another one fails, so that rows
    ///   cannot be swapped.
    package func seal(_ secret: [UInt8], as context: String) -> [UInt8] {
        [1] + idBytes + cipher.seal(secret, authenticating: Array(context.utf8))
    }

    /// Returns the id of the key that a value was sealed with; nil for no sealed value.
    static func id(of sealed: [UInt8]) -> String? {
        sealed.count >= 33 && sealed[0] == 1 ? Hex.text(sealed[1..<5]) : nil
    }

    package func open(_ sealed: [UInt8], as context: String) throws(Failure) -> [UInt8] {
        guard sealed.count >= 33, sealed[0] == 1 else { throw .malformed }
        guard Array(sealed[1..<5]) == idBytes else {
            throw .otherKey(id: Hex.text(sealed[1..<5]))
        }
        do {
            return try cipher.open(Array(sealed[5...]), authenticating: Array(context.utf8))
        } catch {
            throw .notAuthentic
        }
    }

    private var cipher: AESGCM { AESGCM(key: derived(for: "seal v1")) }
}
