import Crypto
import Values

/// The keys of refresh tokens by the number of the master key that each comes from.
struct RefreshKeys: Sendable {
    /// The number of the key that new tokens are made with.
    let current: UInt8
    let keys: [UInt8: [UInt8]]

    init(_ ring: MasterKeyRing) {
        current = ring.current.number
        keys = ring.derived(for: "refresh token v1")
    }
}

/// `ssr_<base62>_<crc:6>`: key number, session, generation and a MAC over them.
///
/// The database holds no secret of a single token. Forging one takes both the server's key and the
/// session's salt. A refresh is one UPDATE.
struct RefreshToken: Sendable, Equatable {
    /// The number of the master key that the MAC's key comes from.
    let keyNumber: UInt8
    let sessionID: SessionID
    let generation: Int64
    let mac: [UInt8]

    private static let prefix = "ssr_"
    private static let format: UInt8 = 1
    private static let byteCount = 1 + 1 + 16 + 4 + 32

    init(of session: Session, keys: RefreshKeys) {
        keyNumber = keys.current
        sessionID = session.id
        generation = session.generation
        mac = Self.mac(session, generation: session.generation, key: keys.keys[keys.current] ?? [])
    }

    /// Nil for anything that is not of this form; whether the MAC is right only ``isAuthentic(for:keys:)`` can tell.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count < 128, bytes.starts(with: Self.prefix.utf8), let last = bytes.lastIndex(of: UInt8(ascii: "_")), last > 4,
            bytes[(last + 1)...].elementsEqual(Base62.encode(crc32(bytes[..<last])).utf8),
            let body = Base62.decode(String(decoding: bytes[4..<last], as: UTF8.self), count: Self.byteCount), body[0] == Self.format
        else { return nil }
        func number(_ range: Range<Int>) -> UInt64 { body[range].reduce(0) { $0 << 8 | UInt64($1) } }
        keyNumber = body[1]
        sessionID = SessionID(rawValue: UUIDv7(high: number(2..<10), low: number(10..<18)))
        generation = Int64(number(18..<22))
        mac = Array(body[22...])
    }

    var text: String {
        let number = (0..<4).map { UInt8(truncatingIfNeeded: generation >> Int64(24 - 8 * $0)) }
        let body = Self.prefix + Base62.encode([Self.format, keyNumber] + sessionID.rawValue.bytes + number + mac)
        return body + "_" + Base62.encode(crc32(body.utf8))
    }

    func isAuthentic(for session: Session, keys: RefreshKeys) -> Bool {
        guard session.id == sessionID, let key = keys.keys[keyNumber] else { return false }
        return constantTimeEqual(mac, Self.mac(session, generation: generation, key: key))
    }

    private static func mac(_ session: Session, generation: Int64, key: [UInt8]) -> [UInt8] {
        let number = (0..<8).map { UInt8(truncatingIfNeeded: generation >> Int64(56 - 8 * $0)) }
        return hmacSHA256(
            key: key, Array("rt/v1".utf8) + session.id.rawValue.bytes + number + session.salt + Array(session.clientID.utf8))
    }
}

/// The result of a refresh. A token is valid once. For thirty seconds after its first use it is answered again with the same
/// tokens, because answers get lost and tabs race. After that, a second use means that two parties have it.
enum RefreshDecision: Equatable {
    /// The next generation begins.
    case rotate
    /// The successor again, unchanged: the window counts from the first rotation.
    case repeatSuccessor
    /// Nothing is changed: session ids are public, so a forged token must not be able to end a session.
    case refuse
    /// The session ended or expired.
    case over
    /// A second party has this token: the session ends.
    case reuse

    static let graceAfterRotation: Duration = .seconds(30)

    static func decide(_ token: RefreshToken, _ session: Session, keys: RefreshKeys, now: Instant) -> RefreshDecision {
        guard token.isAuthentic(for: session, keys: keys) else { return .refuse }
        guard !session.isOver(at: now) else { return .over }
        switch session.generation - token.generation {
        case 0: return .rotate
        case 1 where now <= session.rotatedAt + graceAfterRotation: return .repeatSuccessor
        case 1...: return .reuse
        // Authentic, but ahead of the database: a backup was restored. Refuse, keep the session.
        default: return .refuse
        }
    }
}

extension Session {
    /// The session after a refresh; the idle life starts again, the absolute life does not.
    func rotated(now: Instant) -> Session {
        var next = self
        next.generation += 1
        next.rotatedAt = now
        next.idleExpiresAt = min(now + Self.idleLife, absoluteExpiresAt)
        return next
    }
}
