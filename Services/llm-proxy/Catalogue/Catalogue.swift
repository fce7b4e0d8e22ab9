import Values

/// The models that can be called now, with their routes and prices. It is an immutable snapshot that
/// every loop reads.
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

    /// A model by one route: its name, its price and its limits at one provider.
    struct Model: Hashable, Sendable {
        var id: String
        var provider: Provider
        /// The model's name at its provider.
        var providerModel: String
        var price: PriceVersion
        var limits: ModelLimits
        var createdAt: Instant
        /// Routes of a lower number come first.
        var priority: Int64 = 0
        /// The share of the calls among routes of one priority.
        var weight: Int64 = 1
    }

    /// The routes of each model, the ones of the first priority in front.
    private let routes: [String: [Model]]
    /// The ids of models that are switched on and have no price. They cannot be called.
    let unpriced: Set<String>

    init(models: [Model], unpriced: Set<String> = []) {
        self.unpriced = unpriced
        routes = Dictionary(grouping: models, by: \.id).mapValues { routes in
            routes.sorted { ($0.priority, $0.provider.name) < ($1.priority, $1.provider.name) }
        }
    }

    var isEmpty: Bool { routes.isEmpty }

    /// Returns the model by the first of its routes.
    subscript(id: String) -> Model? { routes[id]?.first }

    /// Draws a route of the first priority, by weight.
    func route(to id: String, using generator: inout some RandomNumberGenerator) -> Model? {
        guard let all = routes[id], let first = all.first else { return nil }
        let equals = all.prefix { $0.priority == first.priority }
        guard equals.count > 1 else { return first }
        var drawn = Int64.random(in: 0..<equals.reduce(0) { $0 + $1.weight }, using: &generator)
        return equals.first { model in
            drawn -= model.weight
            return drawn < 0
        }
    }

    /// The models in the order of their ids, as `GET /v1/models` lists them.
    var sorted: [Model] { routes.values.compactMap(\.first).sorted { $0.id < $1.id } }
}
