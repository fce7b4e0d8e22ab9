import Testing
import Values

@testable import SMTP

struct MailMessageTests {
    private let id = UUIDv7("01909999-0000-7000-8000-000000000001")!
    private let date = Instant("2026-11-22T09:05:07Z")!

    private func message(
        to recipient: String = "a@example.com", subject: String = "Hello", text: String = "Text"
    ) throws(InvalidMail) -> MailMessage {
        try MailMessage(id: id, date: date, recipient: recipient, subject: subject, text: text)
    }

    private func lines(_ message: MailMessage, from sender: String = "no-reply@example.com") throws -> [String] {
        let text = String(decoding: message.bytes(from: try MailSender(sender)), as: UTF8.self)
        #expect(text.utf8.split(separator: 13, omittingEmptySubsequences: false).dropFirst().allSatisfy { $0.first == 10 })
        return text.replacing("\r\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test func `a message has every field that it needs`() throws {
        #expect(
            try lines(message(text: "Text\n"), from: "SmartSpec <no-reply@example.com>") == [
                "From: \"SmartSpec\"", " <no-reply@example.com>", "To: <a@example.com>", "Subject: Hello",
                "Date: Sun, 22 Nov 2026 09:05:07 +0000", "Message-ID: <01909999-0000-7000-8000-000000000001@example.com>",
                "MIME-Version: 1.0", "Auto-Submitted: auto-generated", "Content-Type: text/plain; charset=utf-8",
                "Content-Transfer-Encoding: base64", "", "VGV4dA0K", "",
            ])
    }

    @Test(arguments: [
        ("2024-02-29T23:59:59.999999Z", "Thu, 29 Feb 2024 23:59:59 +0000"), ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 +0000"),
        ("1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 +0000"), ("2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 +0000"),
    ])
    func `the date is that of the message, in UTC`(instant: String, text: String) throws {
        let message = try MailMessage(id: id, date: try #require(Instant(instant)), recipient: "a@example.com", subject: "S", text: "")
        #expect(try lines(message).contains("Date: \(text)"))
    }

    @Test func `every point in time has a date`() throws {
        for microseconds in [Int64.min, .min + 1, -1, 0, .max] {
            let date = Instant(microseconds: microseconds)
            let message = try MailMessage(id: id, date: date, recipient: "a@example.com", subject: "S", text: "")
            #expect(try lines(message).contains { $0.hasPrefix("Date: ") })
        }
    }

    @Test(arguments: ["ยืนยัน", String(repeating: "ก", count: 300), String(repeating: "👩‍👩‍👧‍👦", count: 30), String(repeating: "x", count: 900)])
    func `a long or foreign subject becomes lines of ASCII of at most 76 characters`(subject: String) throws {
        let lines = try lines(message(subject: subject), from: "\(String(repeating: "ชื่อ", count: 15)) <a@example.com>")
        for line in lines { #expect(line.utf8.count <= 76 && line.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "\(line)") }
    }

    @Test(arguments: [
        ("one\ntwo", "b25lDQp0d28="), ("one\r\ntwo", "b25lDQp0d28="), ("one\rtwo", "b25lDQp0d28="), ("\r\r\n\n", "DQoNCg0K"),
    ])
    func `every kind of line break is sent as CR LF`(text: String, body: String) throws {
        #expect(try lines(message(text: text)).suffix(2) == [body, ""])
    }

    static let breaks = ["\r\n", "\n", "\r", "\0", "\u{B}", "\u{C}", "\u{1B}", "\u{7F}", "\u{85}", "\u{2028}", "\u{2029}"]

    @Test(arguments: breaks)
    func `a control character or a line break reaches no header`(control: String) throws {
        let injected = "a\(control)Bcc: victim@example.com"
        #expect(throws: InvalidMail(description: "`subject` must be one line without control characters; remove them.")) {
            try message(subject: injected)
        }
        for address in ["\(injected)", "a\(control)@example.com", "a@example.com\(control)", "\(control)a@example.com"] {
            let error = #expect(throws: InvalidMail.self) { try message(to: address) }
            #expect(error?.description.hasPrefix("`recipient` must be ") == true)
        }
        #expect(throws: InvalidMail.self) { try MailSender("\(injected) <a@example.com>") }
        #expect(throws: InvalidMail.self) { try MailSender("a@example.com\(control)") }
    }

    @Test(arguments: [
        "", "@", "a@", "@example.com", "a@b@c.example", "<a@example.com>", "a@example.com>", "a b@example.com", "a@[127.0.0.1]",
        "a@example..com",
        ".a@example.com", "a.@example.com", "\"a b\"@example.com", "a,b@example.com", "ä@example.com", "a@exämple.com", "a:b@example.com",
        "\(String(repeating: "a", count: 65))@example.com", "a@\(String(repeating: "b", count: 253))",
    ])
    func `an address that cannot stand in an envelope is refused`(address: String) throws {
        let error = try #require(throws: InvalidMail.self) { try message(to: address) }
        #expect(error.description.hasPrefix("`recipient` must be an ASCII address"))
    }

    @Test func `a subject or a text that is too long or has control characters is refused`() throws {
        let subject = String(repeating: "ก", count: MailMessage.subjectBytesMax / 3)
        _ = try message(subject: subject + "x")
        for wrong in ["", subject + "ก"] { #expect(throws: InvalidMail.self) { try message(subject: wrong) } }
        let text = String(repeating: "x", count: MailMessage.textBytesMax)
        _ = try message(text: text)
        for wrong in [text + "x", "a\0b", "a\u{1B}[2J", "a\u{85}"] {
            let error = #expect(throws: InvalidMail.self) { try message(text: wrong) }
            #expect(error?.description.hasPrefix("`text` must ") == true)
        }
    }
}
