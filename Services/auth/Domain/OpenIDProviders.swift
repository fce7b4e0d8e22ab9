import Configuration

/// A provider that people may sign in with, and what auth is to it (OpenID Connect Core 1.0).
struct OpenIDProvider: Sendable {
    /// A part of paths, and of the names of variables.
    let id: String
    /// The name that people see.
    let name: String
    /// The issuer as the provider writes it. It is compared byte by byte.
    let issuer: String
    let clientID: String
    let clientSecret: Secret
}

/// The providers that people may sign in with.
///
/// | variable | default | |
/// |---|---|---|
/// | `OIDC_PROVIDERS` | none | at most 16 ids of a to z, digits and dashes, separated by commas |
/// | `OIDC_<ID>_ISSUER` | required | `https://host[:port][/path]`, each once; `http` for a loopback host |
/// | `OIDC_<ID>_CLIENT_ID`, `OIDC_<ID>_CLIENT_SECRET` | required | as the provider has registered them |
/// | `OIDC_<ID>_NAME` | the id with a capital | 1 to 64 characters |
///
/// `<ID>` is the id in capitals, with underscores for dashes.
struct OpenIDProviders: Sendable {
    static let countMax = 16

    /// In the order of the variable.
    let all: [OpenIDProvider]

    init(_ environment: Environment) throws(ConfigurationError) {
        let ids = environment.list("OIDC_PROVIDERS")
        guard ids.count <= Self.countMax, ids.allSatisfy(Self.isID), Set(ids).count == ids.count else {
            throw .malformed(
                "OIDC_PROVIDERS", found: ids.joined(separator: ","),
                expected: "at most \(Self.countMax) ids of a to z, 0 to 9 and dashes, each once")
        }
        var all: [OpenIDProvider] = []
        for id in ids {
            let provider = try OpenIDProvider(id, environment)
            guard !all.contains(where: { $0.issuer == provider.issuer }) else {
                throw .malformed(OpenIDProvider.variable(id, "ISSUER"), found: nil, expected: "an issuer of no other provider")
            }
            all.append(provider)
        }
        self.all = all
    }

    /// Nil for an unknown provider.
    subscript(id: String) -> OpenIDProvider? { all.first { $0.id == id } }

    private static func isID(_ text: String) -> Bool {
        (1...40).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
    }
}

extension OpenIDProvider {
    fileprivate init(_ id: String, _ environment: Environment) throws(ConfigurationError) {
        self.id = id
        issuer = try environment.string(Self.variable(id, "ISSUER"))
        guard let url = URLText(issuer), url.isOpenID(loopback: true), url.query == nil, issuer.utf8.count <= 255 else {
            throw .malformed(
                Self.variable(id, "ISSUER"), found: nil, expected: "https://host[:port][/path], or http for a loopback host, without a user"
            )
        }
        clientID = try environment.string(Self.variable(id, "CLIENT_ID"))
        guard Self.isText(clientID) else {
            throw .malformed(Self.variable(id, "CLIENT_ID"), found: nil, expected: "1 to 1024 printable ASCII characters")
        }
        clientSecret = try environment.secret(Self.variable(id, "CLIENT_SECRET"))
        guard Self.isText(clientSecret.reveal()) else {
            throw .malformed(Self.variable(id, "CLIENT_SECRET"), found: nil, expected: "1 to 1024 printable ASCII characters")
        }
        let written = environment.string(Self.variable(id, "NAME"), default: id.prefix(1).uppercased() + id.dropFirst())
        guard let shown = DisplayName(written, lengthMax: 64), !shown.text.isEmpty else {
            throw .malformed(Self.variable(id, "NAME"), found: written, expected: "1 to 64 characters, all of them visible")
        }
        name = shown.text
    }

    fileprivate static func variable(_ id: String, _ name: String) -> String {
        "OIDC_\(id.uppercased().replacing("-", with: "_"))_\(name)"
    }

    /// The characters that OAuth permits (RFC 6749 §A.1, §A.2).
    private static func isText(_ text: String) -> Bool {
        (1...1_024).contains(text.utf8.count) && text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }
}

extension URLText {
    /// Returns whether auth may send a request of OpenID to this address, or a browser.
    /// - Parameter loopback: true if http is good enough for a loopback host.
    func isOpenID(loopback: Bool) -> Bool {
        user == nil && !host.isEmpty && (scheme == "https" || loopback && scheme == "http" && isLoopback)
    }
}
