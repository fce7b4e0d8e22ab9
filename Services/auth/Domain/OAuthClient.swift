import Configuration

/// A public client of OAuth: a program on a device, which keeps no secret (RFC 8628 §5.6).
struct OAuthClient: Sendable, Equatable {
    let id: String
    /// The name that people see when they approve a device.
    let name: String
}

/// The clients that may ask for device codes.
///
/// | variable | default | |
/// |---|---|---|
/// | `OAUTH_CLIENTS` | none | further clients: `id=name,id=name`; an id is of a to z, digits and dashes |
struct OAuthClients: Sendable {
    static let desktop = OAuthClient(id: "smartspec-desktop", name: "SmartSpec Desktop")
    static let builtIn = [desktop, OAuthClient(id: "smartspec-cli", name: "SmartSpec command line")]

    private let byID: [String: OAuthClient]

    init(_ environment: Environment) throws(ConfigurationError) {
        var byID = Dictionary(uniqueKeysWithValues: Self.builtIn.map { ($0.id, $0) })
        for pair in environment.list("OAUTH_CLIENTS") {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, Self.isID(parts[0]), let name = DisplayName(parts[1], lengthMax: 64), !name.text.isEmpty,
                byID[parts[0]] == nil
            else {
                throw .malformed(
                    "OAUTH_CLIENTS", found: pair, expected: "id=name,id=name with ids of a to z, 0 to 9 and dashes, each once")
            }
            byID[parts[0]] = OAuthClient(id: parts[0], name: name.text)
        }
        self.byID = byID
    }

    /// Nil for an unknown client.
    subscript(id: String) -> OAuthClient? { byID[id] }

    private static func isID(_ text: String) -> Bool {
        (1...40).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
    }
}
