/// An address as we compare it: ASCII, lower case. Two spellings of one mailbox are one person.
struct EmailAddress: Hashable, Sendable, CustomStringConvertible {
    let text: String

    /// Nil unless `raw`, without spaces around it, looks like a mailbox that mail can reach: `local@domain.tld`, at most 254 bytes
    /// (RFC 5321 §4.5.3.1). Quoted local parts, literals and non-ASCII addresses are refused: forgers use them, hardly any user does.
    init?(_ raw: String) {
        let bytes = raw.utf8.drop { $0 == 0x20 }.reversed().drop { $0 == 0x20 }.reversed().map { $0 }
        guard bytes.count <= 254, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        let parts = bytes.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard parts.count == 2, Self.isLocalPart(parts[0]), Self.isDomain(parts[1]) else { return nil }
        text = String(decoding: bytes, as: UTF8.self).lowercased()
    }

    var description: String { text }
    var localPart: Substring { text.prefix { $0 != "@" } }

    private static func isLocalPart(_ bytes: ArraySlice<UInt8>) -> Bool {
        let special = Array("!#$%&'*+/=?^_`{|}~-.".utf8)
        return (1...64).contains(bytes.count) && bytes.allSatisfy { isAlphanumeric($0) || special.contains($0) }
            && bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty }
    }

    private static func isDomain(_ bytes: ArraySlice<UInt8>) -> Bool {
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let hyphen = UInt8(ascii: "-")
        return labels.count >= 2
            && labels.allSatisfy { label in
                (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
                    && label.allSatisfy { isAlphanumeric($0) || $0 == hyphen }
            }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }
}
