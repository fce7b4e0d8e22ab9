import Testing

@testable import Auth

struct EmailAddressTests {
    /// An address of 254 bytes, the most that SMTP can carry.
    private static let longest = "a@" + String(repeating: "b.", count: 124) + "info"

    @Test(
        arguments: [
            ("anna@example.com", "anna@example.com"), ("  Anna@Example.COM ", "anna@example.com"),
            ("a.b+tag@sub.example.co", "a.b+tag@sub.example.co"),
            ("o'brien@example.ie", "o'brien@example.ie"), (longest, longest),
        ])
    func `spellings of one mailbox are one address`(raw: String, expected: String) {
        #expect(EmailAddress(raw)?.text == expected)
    }

    @Test(
        arguments: [
            "", "@", "a", "a@", "@example.com", "a@b", "a@b@example.com", "a b@example.com", "a@exa mple.com", "a@-example.com",
            "a@example-.com",
            "a@.com", "a@example..com", "a..b@example.com", ".a@example.com", "a.@example.com", "a@example.com\r\nBcc: x@y.z",
            "a\0@example.com",
            "\"a\"@example.com", "a@[127.0.0.1]", "аnna@example.com", "anna@exämple.com", "anna\u{200B}@example.com", "<a@example.com>",
            String(repeating: "a", count: 65) + "@example.com", "a@" + String(repeating: "b", count: 64) + ".com",
            "a@" + String(repeating: "b.", count: 130) + "com", String(repeating: "a", count: 10_000), "x" + longest,
        ])
    func `an address that mail cannot reach, or that imitates another, is refused`(raw: String) {
        #expect(EmailAddress(raw) == nil)
    }
}
