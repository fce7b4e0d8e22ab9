import Crypto
import Text
package import Values

/// A message of plain text to one recipient.
package struct MailMessage: Sendable {
    package static let subjectBytesMax = 1_000
    package static let textBytesMax = 256 << 10

    /// Becomes the `Message-ID`. A message that is sent again keeps it, so that mail programs see a
    /// duplicate.
    package let id: UUIDv7
    package let date: Instant
    package let recipient: String
    package let subject: String
    package let text: String

    /// - Throws: ``InvalidMail`` for an address that is not plain ASCII, for a control character or
    ///   line break in the subject, for a control character other than a tab or a line break in the
    ///   text, and for what is too long.
    package init(id: UUIDv7, date: Instant, recipient: String, subject: String, text: String) throws(InvalidMail) {
        self.recipient = try MailAddress.checked(recipient, field: "recipient")
        try HeaderText.check(subject, field: "subject", bytesMax: Self.subjectBytesMax)
        guard !subject.isEmpty else { throw InvalidMail(description: "`subject` must not be empty.") }
        guard text.utf8.count <= Self.textBytesMax else {
            throw InvalidMail(description: "`text` must have at most \(Self.textBytesMax) bytes; shorten it.")
        }
        guard text.unicodeScalars.allSatisfy({ !$0.isControl || "\t\r\n".unicodeScalars.contains($0) }) else {
            throw InvalidMail(description: "`text` must not have control characters but tabs and line breaks; remove them.")
        }
        (self.id, self.date, self.subject, self.text) = (id, date, subject, text)
    }

    /// Writes the message as it is sent (RFC 5322). The body is base64: each line has at most 76
    /// bytes, and none begins with a dot.
    func bytes(from sender: MailSender) -> [UInt8] {
        let head = [
            "From: \(HeaderText.mailbox(sender))",
            "To: <\(recipient)>",
            "Subject: \(HeaderText.unstructured(subject))",
            "Date: \(Self.dateText(date))",
            "Message-ID: <\(id)@\(sender.domain)>",
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64",
        ]
        return Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8) + Self.body(text)
    }

    private static func body(_ text: String) -> [UInt8] {
        let encoded = Base64.standard.encodeBytes(withCanonicalLineBreaks(text))
        var lines: [UInt8] = []
        lines.reserveCapacity(encoded.count / 76 * 78 + 78)
        for start in stride(from: 0, to: encoded.count, by: 76) {
            lines += encoded[start..<min(start + 76, encoded.count)]
            lines += [0x0D, 0x0A]
        }
        return lines
    }

    /// Returns the bytes with every line break as CR LF (RFC 2046 §4.1.1).
    private static func withCanonicalLineBreaks(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + text.utf8.count / 32)
        var previous: UInt8 = 0
        for byte in text.utf8 {
            switch byte {
            case 0x0A where previous == 0x0D: break
            case 0x0A, 0x0D: bytes += [0x0D, 0x0A]
            default: bytes.append(byte)
            }
            previous = byte
        }
        return bytes
    }

    /// Writes the time in UTC (RFC 5322 §3.3): `Sun, 22 Nov 2026 09:05:07 +0000`.
    private static func dateText(_ date: Instant) -> String {
        let (year, month, day) = Timestamp.civil(fromDays: date.day)
        // 1970-01-01 was a Thursday.
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int((date.day % 7 + 7) % 7)]
        let monthName = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][Int(month - 1)]
        let second = date.seconds - date.day * 86_400
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(weekday), \(two(day)) \(monthName) \(year) \(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60)) +0000"
    }
}
