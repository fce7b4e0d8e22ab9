import Crypto
import Text
import Values

/// The check of the header `Stripe-Signature` (docs.stripe.com/webhooks#verify-manually).
enum WebhookSignature {
    /// The reason for a refusal.
    enum Flaw: Error, Hashable {
        case malformed
        /// None of the signatures is of one of our secrets.
        case wrong
        /// Signed more than ``tolerance`` ago.
        case stale
        /// Signed more than ``tolerance`` from now.
        case future
    }

    /// The longest time between the signature and now, in both directions.
    static let tolerance = Duration.seconds(300)
    /// A longer header is refused unread. Stripe's has about 90 bytes a secret.
    static let headerBytesMax = 4_096

    /// Checks the raw bytes of a body.
    /// - Parameter secrets: several while a secret is replaced. Empty ones are never given.
    static func check(_ header: String, body: [UInt8], secrets: [[UInt8]], now: Instant) throws(Flaw) {
        guard header.utf8.count <= headerBytesMax else { throw .malformed }
        var time: String?
        var signatures: [[UInt8]] = []
        for part in header.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { throw .malformed }
            switch pair[0] {
            case "t":
                guard time == nil else { throw .malformed }
                time = String(pair[1])
            case "v1": if let bytes = Hex.bytes(String(pair[1])) { signatures.append(bytes) }
            default: continue
            }
        }
        guard let time, time.utf8.count <= 12, time.utf8.allSatisfy({ (48...57).contains($0) }), let seconds = Int64(time),
            !signatures.isEmpty
        else { throw .malformed }
        let signed = Array(time.utf8) + [UInt8(ascii: ".")] + body
        let expected = secrets.filter { !$0.isEmpty }.map { hmacSHA256(key: $0, signed) }
        guard signatures.contains(where: { given in expected.contains { constantTimeEqual($0, given) } }) else { throw .wrong }
        let age = now.seconds - seconds
        guard age <= tolerance.components.seconds else { throw .stale }
        guard age >= -tolerance.components.seconds else { throw .future }
    }
}
