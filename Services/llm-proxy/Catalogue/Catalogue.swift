import Configuration
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
        var isLoopback: Bool { URLText(baseURL)?.isLoopback ?? false }

        /// `https://host:port` and the path below it, without a slash at its end. Nil for
        /// another kind of URL.
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
        /// The surfaces by which clients can call the model at this provider.
        var surfaces = Surface.usual
        var price: PriceVersion
        var limits: ModelLimits
        var createdAt: Instant
        /// Routes of a lower number come first.
        var priority: Int64 = 0
        /// The share of the calls among routes of one priority.
        var weight: Int64 = 1
    }

    /// An enabled route that has no price in force for input and output. It cannot be called.
    struct UnpricedRoute: Hashable, Sendable {
        var model: String
        var provider: String
    }

    /// The routes of each model, those of the first priority first.
    private let routes: [String: [Model]]
    let unpricedRoutes: Set<UnpricedRoute>
    /// The ids of models that are switched on and have no priced route.
    let unpriced: Set<String>
    /// The models that only providers serve which an administrator switched off, with one of them.
    let switchedOff: [String: String]

    /// - Parameter switchedOff: the models of providers that are switched off, with one of them.
    init(models: [Model], unpricedRoutes: Set<UnpricedRoute> = [], switchedOff: [String: String] = [:]) {
        routes = Dictionary(grouping: models, by: \.id).mapValues { routes in
            routes.sorted { ($0.priority, $0.provider.name) < ($1.priority, $1.provider.name) }
        }
        self.switchedOff = switchedOff.filter { [routes] in routes[$0.key] == nil }
        self.unpricedRoutes = unpricedRoutes
        unpriced = Set(unpricedRoutes.map(\.model)).subtracting(routes.keys)
    }

    /// Returns the model by the dearest route that a call may go to, measured by the price of 1,000
    /// tokens of prompt and 1,000 of answer.
    subscript(id: String) -> Model? { routes[id].flatMap(Self.dearest) }

    /// The models in the order of their ids, as `GET /v1/models` lists them.
    var sorted: [Model] { routes.values.compactMap(Self.dearest).sorted { $0.id < $1.id } }

    private static func dearest(_ routes: [Model]) -> Model? { routes.max { samplePrice($0) < samplePrice($1) } }

    /// Returns the price of 1,000 tokens of prompt and 1,000 of answer.
    private static func samplePrice(_ route: Model) -> Credits {
        route.price.credits(for: Usage(promptTokens: 1_000, completionTokens: 1_000)) ?? Credits(nano: .max)
    }

    /// Returns the cheapest model of a surface, by the same measure; of equals the first by its id.
    func cheapest(for surface: Surface) -> Model? {
        sorted.filter { $0.surfaces.contains(surface) }.min { Self.samplePrice($0) < Self.samplePrice($1) }
    }

    /// The price of each route that a call may go to.
    var prices: [(model: String, price: PriceVersion)] { routes.values.flatMap { routes in routes.map { ($0.id, $0.price) } } }

    /// Returns the routes that a call may go to, in the order in which it tries them: by priority, and
    /// among equals drawn by weight, without putting a drawn one back.
    func routes(to id: String, using generator: inout some RandomNumberGenerator) -> [Model] {
        guard var left = routes[id] else { return [] }
        guard left.count > 1 else { return left }
        var order: [Model] = []
        while let first = left.first {
            let equals = left.prefix { $0.priority == first.priority }
            var drawn = Int64.random(in: 0..<equals.reduce(0) { $0 + $1.weight }, using: &generator)
            let index = equals.firstIndex { model in
                drawn -= model.weight
                return drawn < 0
            }
            order.append(left.remove(at: index ?? 0))
        }
        return order
    }
}
