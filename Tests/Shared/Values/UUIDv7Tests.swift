import TestSupport
import Testing
import Values

struct UUIDv7Tests {
    @Test func `ids sort by the millisecond they were made in`() {
        var random = SplitMix64(seed: 7)
        let earlier = UUIDv7.make(milliseconds: 1_000, using: &random)
        let later = UUIDv7.make(milliseconds: 1_001, using: &random)
        #expect(earlier < later)
        #expect(earlier.milliseconds == 1_000)
    }

    @Test func `version and variant are those of RFC 9562`() {
        let text = UUIDv7.make().description
        #expect(Array(text)[14] == "7")
        #expect("89ab".contains(Array(text)[19]))
        #expect(UUIDv7(text)?.description == text)
        #expect(UUIDv7(text)?.bytes.count == 16)
    }

    @Test(arguments: [
        "", "0190b5a0-0000-7000-8000-00000000000", "0190b5a000007000800000000000000001", "0190b5a0-0000-7000-8000-00000000000g",
        "{0190b5a0-0000-7000-8000-000000000001}",
    ])
    func `other spellings are refused`(text: String) {
        #expect(UUIDv7(text) == nil)
    }
}
