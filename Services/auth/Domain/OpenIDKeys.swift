import Crypto
import JSON

/// The keys that a provider signs with (RFC 7517). Keys for other uses, and of kinds that no provider
/// needs here, are left out.
struct OpenIDKeys: Sendable {
    static let countMax = 100

    /// A key has one algorithm, whatever a token says.
    enum Key: Sendable {
        case rs256(RS256PublicKey)
        case es256(ES256PublicKey)

        var algorithm: String {
            switch self {
            case .rs256: "RS256"
            case .es256: "ES256"
            }
        }

        func verify(_ signature: [UInt8], of message: [UInt8]) -> Bool {
            switch self {
            case .rs256(let key): key.verify(signature, of: message)
            case .es256(let key): key.verify(signature, of: message)
            }
        }
    }

    private let keys: [(id: String?, key: Key)]

    init(_ body: [UInt8]) throws(OpenIDFlaw) {
        guard let entries = try? JSONObject(body).rawArray("keys"), entries.count <= Self.countMax else { throw .keys }
        keys = entries.compactMap { entry in
            guard let json = try? JSONObject(entry), let key = Key(json) else { return nil }
            return (try? json.string("kid"), key)
        }
    }

    /// Returns the one key that fits the header of a token. A token without `kid` is good enough if one
    /// key has the algorithm (OpenID Connect Core §10.1).
    func key(_ id: String?, algorithm: String) -> Key? {
        let fitting = keys.filter { (id == nil || $0.id == id) && $0.key.algorithm == algorithm }
        return fitting.count == 1 ? fitting[0].key : nil
    }
}

extension OpenIDKeys.Key {
    fileprivate init?(_ json: JSONObject) {
        guard (try? json.optionalString("use") ?? "sig") == "sig",
            (try? json.optionalArray("key_ops")?.contains { $0.string == "verify" } ?? true) == true
        else { return nil }
        func bytes(_ name: String) -> [UInt8]? { (try? json.string(name)).flatMap { Base64.url.decode($0) } }
        switch try? json.string("kty") {
        case "RSA":
            guard let modulus = bytes("n"), let exponent = bytes("e"), let key = RS256PublicKey(modulus: modulus, exponent: exponent)
            else { return nil }
            self = .rs256(key)
        case "EC":
            guard (try? json.string("crv")) == "P-256", let x = bytes("x"), let y = bytes("y"), let key = ES256PublicKey(x: x, y: y)
            else { return nil }
            self = .es256(key)
        default: return nil
        }
        guard (try? json.optionalString("alg") ?? algorithm) == algorithm else { return nil }
    }
}
