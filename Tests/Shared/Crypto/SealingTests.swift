import Testing

@testable import Crypto

@Suite struct SealingTests {
    private let key = bytes(hex: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")

    @Test func `AES-256-GCM gives test case 16 of its authors`() throws {
        let plaintext = bytes(
            hex: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        let context = bytes(hex: "feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let box = AESGCM(key: key).seal(plaintext, authenticating: context, nonce: bytes(hex: "cafebabefacedbaddecaf888"))
        #expect(
            hex(box.dropFirst(12))
                == "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                + "76fc6ece0f4e1768cddf8853bb2d551b")
        #expect(try AESGCM(key: key).open(box, authenticating: context) == plaintext)
    }

    @Test func `any changed bit, another context or a cut box does not open`() {
        let cipher = AESGCM(key: key)
        let box = cipher.seal(Array("secret".utf8), authenticating: [1])
        for index in box.indices {
            var changed = box
            changed[index] ^= 1
            #expect(throws: AESGCM.Failure.notAuthentic) { try cipher.open(changed, authenticating: [1]) }
        }
        #expect(throws: AESGCM.Failure.notAuthentic) { try cipher.open(box, authenticating: [2]) }
        #expect(throws: AESGCM.Failure.notAuthentic) { try cipher.open(Array(box.prefix(27)), authenticating: [1]) }
    }

    @Test func `an empty secret seals and opens`() throws {
        let cipher = AESGCM(key: key)
        #expect(try cipher.open(cipher.seal([], authenticating: []), authenticating: []).isEmpty)
    }

    @Test func `the master key opens what it sealed, under the same name only`() throws {
        let master = try #require(MasterKey(base64: Base64.standard.encode(key)))
        let sealed = master.seal([1, 2, 3], as: "signing_key/a")
        #expect(try master.open(sealed, as: "signing_key/a") == [1, 2, 3])
        #expect(throws: MasterKey.Failure.notAuthentic) { try master.open(sealed, as: "signing_key/b") }
        #expect(throws: MasterKey.Failure.malformed) { try master.open([], as: "signing_key/a") }
    }

    @Test func `a value of another master key names that key`() throws {
        let ours = try #require(MasterKey(base64: Base64.standard.encode(key)))
        let other = try #require(MasterKey(base64: Base64.standard.encode(randomBytes(32))))
        #expect(throws: MasterKey.Failure.otherKey(id: other.id)) { try ours.open(other.seal([1], as: "x"), as: "x") }
    }

    @Test func `a master key is 32 bytes of base64 and does not print itself`() throws {
        #expect(MasterKey(base64: "") == nil)
        #expect(MasterKey(base64: Base64.standard.encode(randomBytes(31))) == nil)
        #expect(MasterKey(base64: "not base64") == nil)
        let master = try #require(MasterKey(base64: Base64.standard.encode(key)))
        var dumped = ""
        dump(master, to: &dumped)
        #expect(!("\(master)" + dumped).contains("254"))
        #expect(master.derived(for: "a") != master.derived(for: "b"))
    }
}
