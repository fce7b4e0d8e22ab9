package import Configuration
package import Crypto
import HTTP
import HTTPWire
import Values

/// Static bearer tokens of our own servers. Such a server acts for a person, whom it names in `x-on-behalf-of: <user id>`; it is
/// believed without a question to auth, so that the person need not exist. It never administers.
///
/// | variable | default | |
/// |---|---|---|
/// | `WEB_GATEWAY_TOKEN` | none | of the server `web-gateway` |
/// | `MCP_SERVER_TOKEN` | none | of the server `mcp-server` |
/// | `SERVICE_TOKENS` | none | further ones: `name=token,name=token` |
///
/// or from files, as every secret. A token has at least 32 characters, all of them visible ASCII and no comma; a name is of a to z,
/// digits and dashes. A name may have several tokens: to change one without a pause, add the new one under the same name first. Under
/// another name it would be another server, whose idempotency keys are its own: what was deducted would be deducted again.
package struct ServiceTokens: Sendable {
    /// No tokens: a service that lets no other service in.
    package static let none = ServiceTokens(tokens: [])

    private let tokens: [(name: String, digest: [UInt8])]

    private init(tokens: [(name: String, digest: [UInt8])]) { self.tokens = tokens }

    package init(_ environment: Environment) throws(ConfigurationError) {
        var known: [(name: String, digest: [UInt8])] = []
        func add(_ name: String, _ token: String, from variable: String) throws(ConfigurationError) {
            guard token.utf8.count >= Self.tokenBytesMin, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !token.contains(",") else {
                throw .malformed(variable, found: nil, expected: "tokens of at least 32 visible ASCII characters, without commas")
            }
            let digest = sha256(token).bytes
            guard !known.contains(where: { $0.digest == digest }) else {
                throw ConfigurationError(variable: variable, problem: "has the token of '\(name)' a second time")
            }
            known.append((name, digest))
        }
        if let token = try environment.optionalSecret("WEB_GATEWAY_TOKEN") {
            try add("web-gateway", token.reveal(), from: "WEB_GATEWAY_TOKEN")
        }
        if let token = try environment.optionalSecret("MCP_SERVER_TOKEN") {
            try add("mcp-server", token.reveal(), from: "MCP_SERVER_TOKEN")
        }
        if let list = try environment.optionalSecret("SERVICE_TOKENS") {
            for pair in list.reveal().split(separator: ",", omittingEmptySubsequences: false) {
                guard let equals = pair.firstIndex(of: "="), Self.isName(pair[..<equals]) else {
                    throw .malformed(
                        "SERVICE_TOKENS", found: nil, expected: "name=token,name=token with names of a to z, 0 to 9 and dashes")
                }
                try add(String(pair[..<equals]), String(pair[pair.index(after: equals)...]), from: "SERVICE_TOKENS")
            }
        }
        tokens = known
    }

    private static let tokenBytesMin = 32

    private static func isName(_ text: Substring) -> Bool {
        (1...40).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
    }

    package var isEmpty: Bool { tokens.isEmpty }

    /// Returns the name of the service whose token has this digest. It takes the same time for every token, and for none.
    package func name(of digest: SHA256Digest) -> String? {
        guard !tokens.isEmpty else { return nil }
        let asked = digest.bytes
        var name: String?
        for token in tokens where constantTimeEqual(token.digest, asked) { name = token.name }
        return name
    }
}

extension Principal {
    /// - Throws: 400 unless `headers` name one person by UUID.
    init(service: String, onBehalfOf headers: HeaderBlock) throws(Problem) {
        let named = headers.strings(for: "x-on-behalf-of")
        guard named.count == 1, let user = UserID(named[0]) else {
            throw .invalidRequest("A service token needs one x-on-behalf-of header with the id of a user.", param: "x-on-behalf-of")
        }
        self.init(userID: user, kind: .service(service), roles: [], scopes: [], plan: "")
    }
}
