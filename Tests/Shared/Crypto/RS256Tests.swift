import Crypto
import Testing

@Suite struct RS256Tests {
    // RFC 7515 appendix A.2.
    private let modulus =
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW"
        + "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k"
        + "G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    private let signed =
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    private let signature =
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
        + "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
        + "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"

    private func digits() throws -> [UInt8] { try #require(Base64.url.decode(modulus)) }
    private func publicKey() throws -> RS256PublicKey { try #require(RS256PublicKey(modulus: digits(), exponent: [1, 0, 1])) }

    @Test func `the signature of RFC 7515 A·2 verifies, a changed message or signature does not`() throws {
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

    @Test func `a signature of another length is refused`() throws {
        let key = try publicKey()
        let bytes = try #require(Base64.url.decode(signature))
        for wrong in [[], [0] + bytes, bytes + [0], Array(bytes.dropLast()), Array(bytes.dropFirst())] {
            #expect(!key.verify(wrong, of: Array(signed.utf8)))
        }
    }

    @Test func `leading zeros of a key are ignored`() throws {
        let key = try #require(RS256PublicKey(modulus: [0, 0] + digits(), exponent: [0, 1, 0, 1]))
        #expect(key.verify(try #require(Base64.url.decode(signature)), of: Array(signed.utf8)))
    }

    @Test func `a key that is too small, too large or has an impossible exponent is refused`() throws {
        let digits = try digits()
        #expect(RS256PublicKey(modulus: Array(digits.prefix(128)), exponent: [1, 0, 1]) == nil, "1,024 bits")
        #expect(RS256PublicKey(modulus: [0x7F] + digits.dropFirst(), exponent: [1, 0, 1]) == nil, "2,047 bits")
        #expect(RS256PublicKey(modulus: digits + digits, exponent: [1, 0, 1]) != nil, "4,096 bits")
        #expect(RS256PublicKey(modulus: [1] + digits + digits, exponent: [1, 0, 1]) == nil, "4,097 bits")
        #expect(RS256PublicKey(modulus: [], exponent: [1, 0, 1]) == nil)
        for exponent: [UInt8] in [[], [0], [1], [2], [1, 0, 0], [1, 0, 0, 0, 1]] {
            #expect(RS256PublicKey(modulus: digits, exponent: exponent) == nil, "\(exponent)")
        }
        #expect(RS256PublicKey(modulus: digits, exponent: [3]) != nil)
    }
}
