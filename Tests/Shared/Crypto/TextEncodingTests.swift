import Crypto
import TestSupport
import Testing

@Suite struct TextEncodingTests {
    @Test(
        arguments: zip(
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"], ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]))
    func `base64 gives the vectors of RFC 4648`(plain: String, encoded: String) {
        #expect(Base64.standard.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.standard.decode(encoded) == Array(plain.utf8))
        let bare = encoded.filter { $0 != "=" }
        #expect(Base64.url.encode(Array(plain.utf8)) == bare)
        #expect(Base64.url.decode(bare) == Array(plain.utf8))
    }

    @Test(arguments: ["Zg==", "Zh", "Zm9vYg=", "Zm 9v", "Zm9v\n", "Zm9+", "Z", "Zm9vY", "Zm9w/", "Zm9v=", "Zmé"])
    func `base64url refuses a second spelling`(text: String) {
        #expect(Base64.url.decode(text) == nil)
    }

    @Test(arguments: ["Zg", "Zg=", "Zh==", "Zg===", "=Zg=", "Zg=A", "Z===", "====", "Zm9-", "Zm9vZg"])
    func `base64 with padding refuses what it would not write`(text: String) {
        #expect(Base64.standard.decode(text) == nil)
    }

    @Test func `every byte string survives base64url and base62`() {
        let seed = drawSeed()
        var generator = SplitMix64(seed: seed)
        for count in 0...70 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(Base64.url.decode(Base64.url.encode(bytes)) == bytes, "seed \(seed)")
            #expect(Base62.decode(Base62.encode(bytes), count: count) == bytes, "seed \(seed)")
        }
    }

    @Test func `base62 of a checksum is six digits`() {
        #expect(Base62.encode(UInt32(0)) == "000000")
        #expect(Base62.encode(UInt32(61)) == "00000z")
        #expect(Base62.encode(UInt32.max) == "4gfFC3")
    }

    @Test func `base62 refuses another length, a foreign digit and a number that is too large`() {
        let text = Base62.encode([0xFF, 0xFF])
        #expect(Base62.decode(text, count: 2) == [0xFF, 0xFF])
        #expect(Base62.decode(text + "0", count: 2) == nil)
        #expect(Base62.decode("zzz", count: 2) == nil)
        #expect(Base62.decode("0-0", count: 2) == nil)
    }

    @Test func `random base62 uses all digits and only those`() {
        let text = Base62.random(5_000)
        #expect(text.utf8.count == 5_000)
        #expect(text.utf8.allSatisfy(Base62.isDigit))
        #expect(Set(text).count == 62)
    }
}
