import Crypto
import Testing

struct MasterKeyRingTests {
    private func key(_ byte: UInt8) -> String { Base64.standard.encode([UInt8](repeating: byte, count: 32)) }

    @Test func `the first key seals, and every key opens`() throws {
        let old = try MasterKeyRing("1:\(key(1))")
        let both = try MasterKeyRing("2:\(key(2)),1:\(key(1))")
        let new = try MasterKeyRing("2:\(key(2))")
        let secret: [UInt8] = [1, 2, 3]
        let (before, after) = (old.seal(secret, as: "a"), both.seal(secret, as: "a"))
        #expect(try both.open(before, as: "a") == secret)
        #expect(try both.open(after, as: "a") == secret)
        #expect(try new.open(after, as: "a") == secret)
        #expect(throws: MasterKey.Failure.otherKey(id: old.current.key.id)) { try new.open(before, as: "a") }
        #expect(throws: MasterKey.Failure.notAuthentic) { try both.open(before, as: "b") }
        #expect(throws: MasterKey.Failure.malformed) { try both.open([1, 2], as: "a") }
        #expect(both.current.number == 2)
        #expect(both.derived(for: "p").keys.sorted() == [1, 2])
        #expect(both.derived(for: "p")[1] == old.derived(for: "p")[1])
    }

    @Test(arguments: ["", "1", "x:AAAA", "0:", "256:", "1:short", "+1:", ",", "-1:"])
    func `a text that is no ring is refused`(text: String) {
        let whole = text.hasSuffix(":") ? text + key(1) : text
        #expect(throws: MasterKeyRing.Flaw.malformed) { try MasterKeyRing(whole) }
    }

    @Test func `a number or a key stands once, and keys are at most sixteen`() throws {
        #expect(throws: MasterKeyRing.Flaw.repeated(number: 1)) { try MasterKeyRing("1:\(key(1)),1:\(key(2))") }
        #expect(throws: MasterKeyRing.Flaw.repeated(number: 2)) { try MasterKeyRing("1:\(key(1)),2:\(key(1))") }
        let many = (1...17).map { "\($0):\(key(UInt8($0)))" }
        #expect(try MasterKeyRing(many.prefix(16).joined(separator: ",")).keys.count == 16)
        #expect(throws: MasterKeyRing.Flaw.malformed) { try MasterKeyRing(many.joined(separator: ",")) }
        #expect(throws: MasterKeyRing.Flaw.malformed) { try MasterKeyRing("1:\(key(1)),") }
    }
}
