import Crypto
import Identity
import Testing
import Values

@Suite struct SessionCookieTests {
    @Test func `a cookie that was made is read with its session and its digest`() throws {
        for _ in 0..<100 {
            let session = SessionID.make()
            let (cookie, text) = SessionCookie.make(for: session)
            let read = try #require(SessionCookie(Array(text.utf8)))
            #expect(read.sessionID == session)
            #expect(read.secretDigest == cookie.secretDigest)
            #expect(text.utf8.count == 66)
            #expect(text.wholeMatch(of: /sss_[0-9A-Za-z]{22}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}/) != nil)
        }
    }

    @Test func `a cookie with any changed character is refused`() {
        let text = SessionCookie.make(for: .make()).text
        for index in 0..<text.utf8.count {
            var bytes = Array(text.utf8)
            bytes[index] = bytes[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(SessionCookie(bytes) == nil, "\(index)")
        }
    }

    @Test func `another text is refused, whatever its length`() {
        let text = Array(SessionCookie.make(for: .make()).text.utf8)
        for length in 0..<text.count { #expect(SessionCookie(Array(text[..<length])) == nil) }
        #expect(SessionCookie(text + [UInt8(ascii: "0")]) == nil)
        #expect(SessionCookie(Array(APIKey.make().text.utf8)) == nil)
        #expect(SessionCookie([UInt8](repeating: 0xFF, count: 66)) == nil)
        // More than 128 bits in the id, with a right checksum.
        let body = "sss_\(String(repeating: "z", count: 22))_\(String(repeating: "s", count: 32))"
        #expect(SessionCookie(Array("\(body)_\(Base62.encode(crc32(body.utf8)))".utf8)) == nil)
    }

    @Test func `the name demands HTTPS where the gateway has it`() {
        #expect(SessionCookie.name(publicURL: "https://gateway.example") == "__Host-session")
        #expect(SessionCookie.name(publicURL: "http://127.0.0.1:8080") == "session")
    }
}
