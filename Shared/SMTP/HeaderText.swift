import Crypto

/// Text in header fields.
enum HeaderText {
    /// Refuses control characters and line breaks, so that neither can reach a header.
    static func check(_ text: String, field: String, bytesMax: Int) throws(InvalidMail) {
        guard text.utf8.count <= bytesMax else {
            throw InvalidMail(description: "`\(field)` must have at most \(bytesMax) bytes; shorten it.")
        }
        guard text.unicodeScalars.allSatisfy({ !$0.isControl }) else {
            throw InvalidMail(description: "`\(field)` must be one line without control characters; remove them.")
        }
    }

    /// Returns short ASCII text as it is, and other text as encoded words.
    static func unstructured(_ text: String) -> String { isPlain(text) ? text : encodedWords(text) }

    /// Writes a sender: `<address>`, or the name and the address on lines of their own.
    static func mailbox(_ sender: MailSender) -> String {
        guard let name = sender.name else { return "<\(sender.address)>" }
        return (isPlain(name) ? quoted(name) : encodedWords(name)) + "\r\n <\(sender.address)>"
    }

    private static func isPlain(_ text: String) -> Bool {
        text.utf8.count <= 60 && text.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !text.contains("=?")
            && !text.hasPrefix(" ") && !text.hasSuffix(" ")
    }

    /// Writes a quoted string (RFC 5322 §3.2.4).
    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// Writes encoded words (RFC 2047 §2), one a line. 39 bytes become 52 digits, so that a line
    /// has at most 76 characters, the name of the field included. A character is never split.
    private static func encodedWords(_ text: String) -> String {
        var words: [[UInt8]] = [[]]
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            if words[words.count - 1].count + bytes.count > 39 { words.append([]) }
            words[words.count - 1] += bytes
        }
        return words.map { "=?UTF-8?B?\(Base64.standard.encode($0))?=" }.joined(separator: "\r\n ")
    }
}

extension Unicode.Scalar {
    /// True for control characters and for the separators of lines and paragraphs.
    var isControl: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
