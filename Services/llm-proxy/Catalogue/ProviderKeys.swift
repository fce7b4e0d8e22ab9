import Configuration

/// Provider keys by the name of their variable; read once at start, never printed.
struct ProviderKeys: Sendable {
    private let secrets: [String: Secret]

    init(_ secrets: [String: Secret]) { self.secrets = secrets }

    subscript(variable: String) -> Secret? { secrets[variable] }
}
