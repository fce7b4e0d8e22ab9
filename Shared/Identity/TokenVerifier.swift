package import Crypto
import JSON
package import Values

/// Reads an access token without I/O. Which algorithm is used follows from the key, never from the token.
package struct TokenVerifier: Sendable {
    package enum Refusal: Error, Equatable {
        /// Not a token of ours, whatever is wrong with it: one answer, so that probing teaches nothing.
        case invalid
        case expired
        /// Well-formed, but signed with a key that is not (yet) known here.
        case unknownKey
    }

    package let issuer: String
    package let audience: String

    package init(issuer: String, audience: String = AccessToken.audience) {
        self.issuer = issuer
        self.audience = audience
    }

    /// How far another machine's clock may be ahead of ours.
    private static let aheadMax: Int64 = 30

    // RFC 7515 §4.1, RFC 7516, RFC 7797: each of these would let a token say how it wants to be read.
    private static let forbidden = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"]

    /// - Parameter mayHaveExpired: true to accept an expired token too, which proves nothing but its session.
    package func verify(
        _ token: [UInt8], keys: [String: ES256PublicKey], now: Instant, mayHaveExpired: Bool = false
    ) throws(Refusal) -> AccessTokenClaims {
        guard token.count <= AccessToken.byteCountMax else { throw .invalid }
        let dots = token.indices.filter { token[$0] == UInt8(ascii: ".") }
        guard dots.count == 2 else { throw .invalid }
        let key = try key(for: token[..<dots[0]], among: keys)
        guard let signature = Base64.url.decode(token[(dots[1] + 1)...]), key.verify(signature, of: Array(token[..<dots[1]])) else {
            throw .invalid
        }
        let claims = try claims(token[(dots[0] + 1)..<dots[1]], now: now)
        guard mayHaveExpired || now.seconds < claims.expiresAt else { throw .expired }
        return claims
    }

    private func key(for encoded: ArraySlice<UInt8>, among keys: [String: ES256PublicKey]) throws(Refusal) -> ES256PublicKey {
        guard let bytes = Base64.url.decode(encoded), let header = try? JSONObject(bytes),
            (try? header.string("alg")) == "ES256", (try? header.string("typ")) == "at+jwt",
            !Self.forbidden.contains(where: { header.member($0) != nil }),
            let keyID = try? header.string("kid"), keyID.utf8.count == 43, Base64.url.decode(keyID) != nil
        else { throw .invalid }
        guard let key = keys[keyID] else { throw .unknownKey }
        return key
    }

    private func claims(_ encoded: ArraySlice<UInt8>, now: Instant) throws(Refusal) -> AccessTokenClaims {
        guard let bytes = Base64.url.decode(encoded), let json = try? JSONObject(bytes), let claims = try? AccessTokenClaims(from: json),
            claims.issuer == issuer, claims.audience == audience,
            claims.issuedAt <= now.seconds + Self.aheadMax, claims.issuedAt <= claims.expiresAt,
            json.member("nbf") == nil || ((try? json.integer("nbf")) ?? .max) <= now.seconds + Self.aheadMax
        else { throw .invalid }
        return claims
    }
}
