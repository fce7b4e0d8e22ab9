import Crypto
import Testing

@Suite struct ES256Tests {
    // RFC 7515 appendix A.3.
    private let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
    private let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    private let signed =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    private let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

    private func publicKey() throws -> ES256PublicKey {
        try #require(ES256PublicKey(x: Base64.url.decode(x) ?? [], y: Base64.url.decode(y) ?? []))
    }

    @Test func `the signature of RFC 7515 A·3 verifies, a changed message or signature does not`() throws {
        let key = try publicKey()
        let bytes = try #require(Base64.url.decode(signature))
        #expect(key.verify(bytes, of: Array(signed.utf8)))
        #expect(!key.verify(bytes, of: Array(signed.utf8.dropLast())))
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x10
            #expect(!key.verify(changed, of: Array(signed.utf8)))
        }
    }

    @Test func `r or s of zero, of the group order, or of another length is refused`() throws {
        let key = try publicKey()
        let bytes = try #require(Base64.url.decode(signature))
        let message = Array(signed.utf8)
        let zero = [UInt8](repeating: 0, count: 32)
        let order: [UInt8] = [
            0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E,
            0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
        ]
        for bad in [zero, order, [UInt8](repeating: 0xFF, count: 32)] {
            #expect(!key.verify(bad + bytes.suffix(32), of: message))
            #expect(!key.verify(bytes.prefix(32) + bad, of: message))
        }
        #expect(!key.verify(zero + zero, of: message))
        #expect(!key.verify([], of: message))
        #expect(!key.verify(Array(bytes.dropLast()), of: message))
        #expect(!key.verify(bytes + [0], of: message))
    }

    @Test func `the thumbprint is RFC 7638's`() throws {
        #expect(try publicKey().thumbprint == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U")
    }

    @Test func `a point off the curve is no key`() throws {
        var y = try #require(Base64.url.decode(y))
        y[31] ^= 1
        #expect(ES256PublicKey(x: Base64.url.decode(x) ?? [], y: y) == nil)
        #expect(ES256PublicKey(x: [], y: y) == nil)
    }

    @Test func `a public key verifies the signatures of its pair, also after DER and x, y`() throws {
        for round in 0..<50 {
            let pair = ES256KeyPair.generate()
            let message = randomBytes(round)
            let again = try #require(ES256KeyPair(privateDER: pair.privateDER))
            #expect(again.publicKey == pair.publicKey)
            let key = try #require(ES256PublicKey(x: pair.publicKey.x, y: pair.publicKey.y))
            #expect(key.verify(again.sign(message), of: message))
            #expect(!key.verify(ES256KeyPair.generate().sign(message), of: message))
        }
        #expect(ES256KeyPair(privateDER: [0x30, 0x01]) == nil)
        #expect(ES256KeyPair(privateDER: []) == nil)
    }
}
