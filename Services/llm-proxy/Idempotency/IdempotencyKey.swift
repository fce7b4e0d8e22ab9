import Contracts
import Crypto
import Values

/// The key under which a client repeats a call (`Idempotency-Key`): 1 to 255 printable ASCII
/// characters, of one account.
struct IdempotencyKey: Hashable, Sendable {
    var account: AccountID
    var text: String
    /// The digest of path and body. Another request under the same key is a conflict.
    var request: SHA256Digest

    init?(_ text: String, of account: AccountID, request: SHA256Digest) {
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        (self.account, self.text, self.request) = (account, text, request)
    }
}

/// An answer that is kept for a repeated call.
struct KeptAnswer: Hashable, Sendable {
    var mediaType: String
    var body: [UInt8]
    var provider: String
    var charge: ChargeID

    /// A longer answer is not kept, in bytes.
    static let bytesMax = 1 << 20
}

/// The outcome of a claim of a key.
enum IdempotencyClaim: Sendable {
    /// The caller makes the call, under the charge of its claim.
    case claimed
    /// Another request used the key.
    case otherRequest
    case kept(KeptAnswer)
    /// The answer was longer than ``KeptAnswer/bytesMax``, or the replica with the call died after its
    /// charge.
    case lost(ChargeID)
    /// The call with this charge runs, here or in another replica.
    case running(ChargeID)
}
