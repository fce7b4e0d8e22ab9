import Contracts
import Crypto
import Identity
import Testing

@Suite struct APIKeyTests {
    @Test func `a made key reads back as itself`() throws {
        for _ in 0..<200 {
            let (key, text) = APIKey.make()
            let read = try #require(APIKey(Array(text.utf8)))
            #expect(read.id == key.id)
            #expect(read.secretDigest == key.secretDigest)
            #expect(text.contains("_\(key.id)_"))
            #expect(text.dropLast(7).hasSuffix(key.last4))
            #expect(try text.wholeMatch(of: Regex("ssk_[0-9A-Za-z]{10}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}")) != nil)
        }
    }

    @Test func `one changed, missing or added character is noticed without asking auth`() {
        let text = Array(APIKey.make().text.utf8)
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(APIKey(changed) == nil)
        }
        #expect(APIKey(Array(text.dropLast())) == nil)
        #expect(APIKey(text + [UInt8(ascii: "0")]) == nil)
        #expect(APIKey([]) == nil)
    }

    @Test func `two keys differ in id and secret`() {
        let keys = (0..<500).map { _ in APIKey.make().key }
        #expect(Set(keys.map(\.id)).count == 500)
        #expect(Set(keys.map(\.secretDigest)).count == 500)
    }
}
