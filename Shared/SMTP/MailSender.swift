/// The sender of messages: an address and, for people, a name.
package struct MailSender: Hashable, Sendable {
    package let name: String?
    package let address: String

    package var domain: Substring { address[address.index(after: address.lastIndex(of: "@")!)...] }

    /// Reads `address` or `Name <address>`.
    package init(_ text: String) throws(InvalidMail) {
        guard let open = text.lastIndex(of: "<") else {
            name = nil
            address = try MailAddress.checked(text, field: "address")
            return
        }
        guard text.last == ">" else { throw InvalidMail(description: "it must be `address` or `Name <address>`.") }
        address = try MailAddress.checked(String(text[text.index(after: open)...].dropLast()), field: "address")
        let words = String(text[..<open].drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        try HeaderText.check(words, field: "name", bytesMax: 200)
        name = words.isEmpty ? nil : words
    }
}

/// A part of a message that cannot be sent: names the field, the rule and the remedy, never the
/// value.
package struct InvalidMail: Error, Hashable, CustomStringConvertible {
    package let description: String
}

enum MailAddress {
    /// Returns the address if it can stand in an envelope and in a header as it is (RFC 5321
    /// §4.1.2, without quoted local parts and address literals). Whether mail can reach it is not
    /// checked.
    static func checked(_ text: String, field: String) throws(InvalidMail) -> String {
        let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        let isDotted = parts.allSatisfy { part in
            part.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { atom in
                !atom.isEmpty && atom.allSatisfy(isAtomByte)
            }
        }
        guard parts.count == 2, isDotted, parts[0].count <= 64, text.utf8.count <= 254 else {
            throw InvalidMail(
                description: "`\(field)` must be an ASCII address such as user@example.com, of at most 254 bytes; remove other characters.")
        }
        return text
    }

    /// Answers whether the byte may stand in an atom (RFC 5322 §3.2.3).
    private static func isAtomByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
        }
    }
}
