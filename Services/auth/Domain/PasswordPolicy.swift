/// The rules for a password: 8 to 1,024 bytes, without rules of composition (NIST SP 800-63B). The most common passwords and
/// the owner's address are refused. Every byte counts, exactly as received.
enum PasswordPolicy {
    static let charactersMin = 8
    static let bytesMax = 1_024

    enum Refusal: Error, Equatable {
        case tooShort
        case tooLong
        case blank
        case common
        case sameAsEmail

        var message: String {
            switch self {
            case .tooShort: "password must have at least \(charactersMin) characters"
            case .tooLong: "password must have at most \(bytesMax) bytes"
            case .blank: "password must not consist of spaces"
            case .common: "password is one of those that are tried first; choose another"
            case .sameAsEmail: "password must differ from the e-mail address"
            }
        }
    }

    static func refusal(of password: String, for email: EmailAddress) -> Refusal? {
        if password.unicodeScalars.count < charactersMin { return .tooShort }
        if password.utf8.count > bytesMax { return .tooLong }
        if password.allSatisfy(\.isWhitespace) { return .blank }
        let folded = password.lowercased()
        if folded == email.text || folded == email.localPart { return .sameAsEmail }
        if common.contains(folded) || Set(folded.utf8).count == 1 { return .common }
        return nil
    }

    // The head of the published lists of leaked passwords, as far as it is long enough to get here.
    private static let common: Set<String> = [
        "password", "password1", "password12", "password123", "password1234", "password!", "passw0rd", "p@ssw0rd", "p@ssword", "12345678",
        "123456789", "1234567890", "12345678910", "123123123", "11111111", "00000000", "87654321", "987654321", "0987654321", "1q2w3e4r",
        "1q2w3e4r5t", "q1w2e3r4", "1qaz2wsx", "qwertyui", "qwertyuiop", "qwerty123", "qwerty12", "qwerty1234", "asdfghjk", "asdfghjkl",
        "zxcvbnm1", "iloveyou", "iloveyou1", "sunshine", "princess", "football", "baseball", "superman", "trustno1", "starwars", "whatever",
        "computer", "internet", "michelle", "jennifer", "abcd1234", "abc12345", "a1b2c3d4", "aa123456", "welcome1", "welcome123",
        "letmein1",
        "letmein123", "changeme", "changeme1", "changeme123", "admin123", "administrator", "adminadmin", "rootroot", "testtest", "test1234",
        "secret123", "smartspec", "smartspec1", "smartspec123",
    ]
}
