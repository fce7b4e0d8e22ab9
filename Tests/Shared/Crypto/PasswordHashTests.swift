import Crypto
import Testing

@Suite struct PasswordHashTests {
    private let cheap = PasswordHashing(passes: 1, memoryKiB: 64)

    @Test func `a hash of the reference implementation verifies`() {
        // argon2 20171227, test.c: t=2, m=2^16, p=1, "password", "somesalt".
        let known = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
        #expect(cheap.verify(Array("password".utf8), against: known))
        #expect(!cheap.verify(Array("Password".utf8), against: known))
    }

    @Test func `a hash names its parameters and verifies only its password`() throws {
        let hash = try #require(PasswordHashing.standard.hash(Array("correct horse".utf8)))
        #expect(hash.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
        #expect(PasswordHashing.standard.verify(Array("correct horse".utf8), against: hash))
        #expect(!PasswordHashing.standard.verify(Array("correct horse\0".utf8), against: hash))
        #expect(!PasswordHashing.standard.verify([], against: hash))
    }

    @Test func `two hashes of one password differ`() {
        #expect(cheap.hash([1]) != cheap.hash([1]))
    }

    @Test func `other parameters ask for a new hash`() throws {
        let hash = try #require(cheap.hash([1, 2]))
        #expect(!cheap.needsRehash(hash))
        #expect(PasswordHashing.standard.needsRehash(hash))
    }

    @Test(
        arguments: [
            "", "plain", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ", "$argon2id$v=19$m=4294967297,t=2,p=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=19$m=2097152,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=4000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2i$v=19$m=64,t=3,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=2,p=256$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ])
    func `a malformed or greedy hash is refused, not computed`(hash: String) {
        #expect(!cheap.verify(Array("password".utf8), against: hash))
    }
}
