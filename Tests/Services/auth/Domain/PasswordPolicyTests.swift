import Testing

@testable import Auth

struct PasswordPolicyTests {
    @Test func `a password needs length, not special characters`() throws {
        let email = try #require(EmailAddress("longish.name@example.com"))
        func refusal(_ password: String) -> PasswordPolicy.Refusal? { PasswordPolicy.refusal(of: password, for: email) }
        #expect(refusal("seven77") == .tooShort)
        #expect(refusal("correct horse battery staple") == nil)
        #expect(refusal("Пароль-длинный") == nil)
        #expect(refusal("👩‍👩‍👧‍👦") == nil)
        #expect(refusal(String(repeating: "ab", count: 512)) == nil)
        #expect(refusal(String(repeating: "ab", count: 512) + "c") == .tooLong)
        #expect(refusal(String(repeating: " ", count: 12)) == .blank)
        #expect(refusal("Password123") == .common)
        #expect(refusal("zzzzzzzzzzzz") == .common)
        #expect(refusal("Longish.Name@example.com") == .sameAsEmail)
        #expect(refusal("longish.name") == .sameAsEmail)
    }
}
