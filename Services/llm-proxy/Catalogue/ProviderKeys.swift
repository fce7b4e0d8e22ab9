import Configuration

/// The keys of providers by the name of their variable, read once at start and never printed. Each
/// key is bound to the address that stands next to it in the providers file. A row of the table
/// cannot send it elsewhere.
struct ProviderKeys: Sendable {
    struct Key: Sendable {
        var secret: String { value.reveal() }
        /// True if the provider's name may stand for an address of a private network.
        let mayCallPrivateAddresses: Bool
        private let value: Secret

        fileprivate init(_ value: Secret, mayCallPrivateAddresses: Bool) {
            (self.value, self.mayCallPrivateAddresses) = (value, mayCallPrivateAddresses)
        }
    }

    enum Found {
        case known(Key)
        case missing
        /// The configuration has the key with another address only.
        case boundElsewhere
    }

    private struct Binding: Hashable {
        var variable: String
        var origin: String
    }

    private var keys: [Binding: Key] = [:]
    private var variables: Set<String> = []

    /// - Parameter secret: reads the variable of that name; nil if it is not set.
    init<Failure: Error>(
        of providers: [ProvidersFile.Provider], secret: (String) throws(Failure) -> Secret?
    ) throws(Failure) {
        for entry in providers {
            guard let endpoint = entry.provider.endpoint, let value = try secret(entry.provider.apiKeyVariable) else { continue }
            let binding = Binding(variable: entry.provider.apiKeyVariable, origin: endpoint.origin.lowercased())
            // Two entries with one key and address are one destination, so their order does not matter.
            let isPrivate = entry.isPrivateNetwork || keys[binding]?.mayCallPrivateAddresses == true
            keys[binding] = Key(value, mayCallPrivateAddresses: isPrivate)
            variables.insert(entry.provider.apiKeyVariable)
        }
    }

    /// Returns the names of the providers whose key is known.
    func configured(among providers: [ProvidersFile.Provider]) -> Set<String> {
        Set(
            providers.map(\.provider).filter { provider in
                guard let origin = provider.endpoint?.origin, case .known = key(of: provider.apiKeyVariable, for: String(origin)) else {
                    return false
                }
                return true
            }.map(\.name))
    }

    /// - Parameter origin: `https://host:port`, as it stands in the base URL.
    func key(of variable: String, for origin: String) -> Found {
        if let key = keys[Binding(variable: variable, origin: origin.lowercased())] { return .known(key) }
        return variables.contains(variable) ? .boundElsewhere : .missing
    }
}
