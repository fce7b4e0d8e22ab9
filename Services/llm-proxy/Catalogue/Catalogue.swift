import Values

/// The models that can be called now, and their prices: an immutable snapshot that every loop reads.
struct Catalogue: Sendable {
    struct Provider: Hashable, Sendable {
        var name: String
        /// The wire format: `openai` or `anthropic`.
        var kind: String
        /// Everything up to the path of a call: `https://api.openai.com/v1`.
        var baseURL: String
        /// The variable that holds its key; the key itself stays out of the database.
        var apiKeyVariable: String

        /// True if the address is of this machine. Such a connection needs no encryption.
        var isLoopback: Bool {
            guard let origin = endpoint?.origin, let start = origin.firstRange(of: "://")?.upperBound else { return false }
            let host = origin[start...]
            if host.hasPrefix("[::1]") { return true }
            let name = host.prefix { $0 != ":" }
            return name == "localhost" || name.hasPrefix("127.") && name.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }
        }

        /// `https://host:port` and the path below it, without a slash at its end; nil when the URL is none.
        var endpoint: (origin: Substring, path: Substring)? {
            guard let scheme = ["http://", "https://"].first(where: baseURL.hasPrefix) else { return nil }
            let rest = baseURL.dropFirst(scheme.count)
            let host = rest.prefix { $0 != "/" }
            guard !host.isEmpty, !host.contains("@"), !rest.contains("?"), !rest.contains("#") else { return nil }
            let path = rest.dropFirst(host.count)
            return (baseURL.prefix(scheme.count + host.count), path.hasSuffix("/") ? path.dropLast() : path)
        }
    }

    struct Model: Hashable, Sendable {
        var id: String
        var provider: Provider
        /// The model's name at its provider.
        var providerModel: String
        var price: TokenPrice
        var limits: ModelLimits
        var createdAt: Instant
    }

    private(set) var models: [String: Model]
    /// The ids of models that are switched on and have no price. They cannot be called.
    var unpriced: Set<String>
    var pricing: PricingRule

    init(models: [Model], unpriced: Set<String> = [], pricing: PricingRule) {
        self.unpriced = unpriced
        self.models = Dictionary(uniqueKeysWithValues: models.map { ($0.id, $0) })
        self.pricing = pricing
    }

    /// The models in the order of their ids, as `GET /v1/models` lists them.
    var sorted: [Model] { models.values.sorted { $0.id < $1.id } }
}
