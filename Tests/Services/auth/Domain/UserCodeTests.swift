import Testing

@testable import Auth

struct UserCodeTests {
    @Test func `a code is read in any case, with dashes and blanks of any kind`() throws {
        let code = try #require(UserCode(typed: "WDJB2345"))
        for typed in ["wdjb2345", "WDJB-2345", " wdjb 2345 ", "W-D-J-B-2-3-4-5", "wdjb\u{2013}2345", "wdjb\u{00A0}2345", "(wdjb.2345)"] {
            #expect(UserCode(typed: typed) == code, "\(typed)")
        }
        let hostile = [
            "", "WDJB234", "WDJB23456", "WDJB234O", "WDJB2341", "AEIOU234", "ＷＤＪＢ２３４５", "\u{0}DJB2345", "WDJB2345\u{301}\u{1F600}É",
            String(repeating: "W", count: 100_000), "'; DROP TABLE users; --", "\"><script>",
        ]
        for typed in hostile { #expect(UserCode(typed: typed) == nil, "\(typed.prefix(40))") }
    }

    @Test func `T15: codes are distinct, of the alphabet, and as often of each letter`() {
        let codes = (0..<5_000).map { _ in UserCode.make().text }
        #expect(Set(codes).count == codes.count)
        var counts: [Character: Int] = [:]
        for code in codes {
            #expect(code.count == 8)
            for letter in code { counts[letter, default: 0] += 1 }
        }
        #expect(counts.keys.sorted() == Array("23456789BCDFGHJKLMNPQRSTVWXZ"))
        // 27 degrees of freedom: a value above 80 has a probability of less than one in a million.
        let expected = Double(codes.count * 8) / 28
        let chiSquare = counts.values.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
        #expect(chiSquare < 80)
    }

    @Test func `the form at rest depends on the key`() throws {
        let code = UserCode.make()
        #expect(code.digest([1]) != code.digest([2]))
        #expect(code.digest([1]).count == 32)
        #expect(try code.digest([1]) == #require(UserCode(typed: code.text.lowercased())).digest([1]))
    }
}
