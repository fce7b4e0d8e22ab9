import Text

/// An identity that crosses services. Each is its own type, so that two ids cannot be swapped at a call site.
package protocol TypedID: Hashable, Comparable, Sendable, LosslessStringConvertible {
    var rawValue: UUIDv7 { get }
    init(rawValue: UUIDv7)
}

extension TypedID {
    package static func make() -> Self { Self(rawValue: .make()) }

    package init?(_ text: String) {
        guard let uuid = UUIDv7(text) else { return nil }
        self.init(rawValue: uuid)
    }

    package var description: String { rawValue.description }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A person.
package struct UserID: TypedID {
    package let rawValue: UUIDv7
    package init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// An owner of credits. Every person has one account, which carries the person's id.
package struct AccountID: TypedID {
    package let rawValue: UUIDv7
    package init(rawValue: UUIDv7) { self.rawValue = rawValue }
    package init(_ user: UserID) { rawValue = user.rawValue }
}

/// The id of one thing that the ledger decides, from hold to settlement. The service that asks makes it before it asks, and
/// keeps it over retries.
package struct ChargeID: TypedID {
    package let rawValue: UUIDv7
    package init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// A sign-in of a person on one device.
package struct SessionID: TypedID {
    package let rawValue: UUIDv7
    package init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// One AMQP message; the consumer's key for "seen before".
package struct MessageID: TypedID {
    package let rawValue: UUIDv7
    package init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// Everything that one HTTP request, webhook or timer set in motion.
package struct ConversationID: TypedID {
    package let rawValue: UUIDv7
    package init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// The public middle part of an API key `ssk_<id>_<secret>_<crc>`: ten base-62 characters, safe to log.
package struct APIKeyID: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
    package var description: String { rawValue }
}

/// The first 8 bytes of the SHA-256 of an API key's secret. They tell a made-up key from a real one, and
/// say nothing about a secret of 190 random bits.
package struct APIKeyFingerprint: Hashable, Sendable {
    private let rawValue: UInt64

    /// - Parameter secretSHA256: 32 bytes.
    package init(secretSHA256 digest: [UInt8]) { rawValue = digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// Reads 16 lower-case digits.
    package init?(hexadecimal text: String) {
        guard let bytes = Hex.bytes(text), bytes.count == 8 else { return nil }
        self.init(secretSHA256: bytes)
    }

    package var hexadecimal: String {
        String(unsafeUninitializedCapacity: 16) { output in
            Hex.write(rawValue, digits: 16, to: output, at: 0)
            return 16
        }
    }
}
