import Contracts
import Postgres
import Values

/// A price version as it is stored.
struct StoredPrice: Sendable {
    var model: String
    var provider: String
    var price: PriceVersion
    var source: String
    var sourceDate: String?
    var doubts: [String]
    var confirmedAt: Instant?
    var effectiveAt: Instant

    var isDoubtful: Bool { !doubts.isEmpty && confirmedAt == nil }
}

/// A model at one provider, as an administrator sees it.
struct ListedModel: Sendable {
    /// A reason why calls do not go to the model, next to the doubts of its price.
    enum Obstacle: String, Sendable {
        case switchedOff = "switched_off"
        case routeSwitchedOff = "route_switched_off"
        case providerSwitchedOff = "provider_switched_off"
        case providerNotConfigured = "provider_not_configured"
        case notPriced = "not_priced"
        case noEndpoint = "no_endpoint"
    }

    var id: String
    var provider: String
    var mode: String
    /// Nil for a model that is in the list only.
    var source: String?
    var price: StoredPrice?
    /// The next version that comes into force.
    var next: (version: Int64, effectiveAt: Instant)?
    var obstacles: [Obstacle]
    var doubts: [String]

    var isSold: Bool { obstacles.isEmpty && doubts.isEmpty }
}

/// The use cases of administrators: they list models with their prices, write prices, and switch
/// models.
struct PriceAdministration: Sendable {
    let pool: PostgresPool
    let list: ModelList
    /// The providers whose key is set.
    let configured: Set<String>
    /// The rule of a price that names none.
    let rules: PricingRules

    struct Overview: Sendable {
        var models: [ListedModel]
        var margins: [Margin]
    }

    /// The outcome of a change, or of a dry run.
    struct Change: Sendable {
        /// The model before and after, at each provider.
        var before: [ListedModel]
        var after: [ListedModel]
        /// The new version, or the one in force if the price is as it was. Nil for a switch.
        var price: StoredPrice?
        var isChanged: Bool
        var margins: [Margin]
    }

    enum Outcome: Sendable {
        case done(Change)
        case unknownModel
        case unknownVersion
    }

    /// A switch of a model at all its providers, the confirmation of a price, or both.
    struct ModelChange: Sendable {
        var model: String
        var isEnabled: Bool?
        var confirmedVersion: Int64?
    }

    // MARK: Reads

    /// Lists the models of the tables, and those of the list that are not in the tables.
    func overview() async throws -> Overview {
        let (rows, offers) = try await onLoop { try await pool.pipeline(ListModels(), ReadCreditOffers()) }
        let stored = rows.map(listed)
        let known = Set(stored.map(\.id))
        let models = stored + list.models.filter { !known.contains($0.id) }.map(listed)
        return Overview(
            models: models.sorted { ($0.id, $0.provider) < ($1.id, $1.provider) },
            margins: margins(offers, stored.filter(\.isSold).compactMap(\.price)))
    }

    func price(_ version: Int64) async throws -> StoredPrice? {
        try await onLoop { try await pool.first(FindPrice(version: version)) ?? nil }
    }

    /// The pool serves its own loop only.
    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Task(executorPreference: pool.loop, operation: body).value
    }

    // MARK: Changes

    /// Adds a price version, unless the version in force at its time is the same. A dry run changes
    /// nothing.
    func put(_ price: NewPrice, isDryRun: Bool) async throws -> Outcome {
        try await change(isDryRun: isDryRun) { transaction in
            let before = try await transaction.query(ListModels(model: price.model))
            guard before.contains(where: { $0.provider == price.provider }) else { return .unknownModel }
            let version = try await transaction.first(PutPriceIfChanged(price: price))
            let found = try await transaction.first(FindPrice(version: version, inForceFor: price))
            return .done(try await outcome(in: transaction, before, found ?? nil, of: price.model, isChanged: version != nil))
        }
    }

    /// Switches a model, or confirms the doubtful price of a version. A dry run changes nothing.
    func put(_ change: ModelChange, by administrator: UserID, isDryRun: Bool) async throws -> Outcome {
        try await self.change(isDryRun: isDryRun) { transaction in
            let before = try await transaction.query(ListModels(model: change.model))
            guard !before.isEmpty else { return .unknownModel }
            var changed = 0
            if let version = change.confirmedVersion {
                guard let price = try await transaction.first(FindPrice(version: version)) ?? nil, price.model == change.model else {
                    return .unknownVersion
                }
                changed += try await transaction.execute(ConfirmPrice(version: version, by: administrator))
            }
            if let isEnabled = change.isEnabled {
                changed += try await transaction.execute(SwitchModel(model: change.model, isEnabled: isEnabled))
                if isEnabled { changed += try await transaction.execute(SwitchOnRoutes(model: change.model)) }
            }
            return .done(try await outcome(in: transaction, before, nil, of: change.model, isChanged: changed > 0))
        }
    }

    /// Carries the result of a dry run out of its transaction, which is rolled back.
    private struct DryRun: Error {
        var outcome: Outcome
    }

    private func change(
        isDryRun: Bool, _ body: @escaping @Sendable (PostgresTransaction) async throws -> Outcome
    ) async throws -> Outcome {
        do {
            return try await onLoop {
                try await pool.transaction { transaction in
                    _ = try await transaction.query(LockCatalogue())
                    let outcome = try await body(transaction)
                    if isDryRun { throw DryRun(outcome: outcome) }
                    return outcome
                }
            }
        } catch let dryRun as DryRun {
            return dryRun.outcome
        }
    }

    private func outcome(
        in transaction: PostgresTransaction, _ before: [ListModels.Output], _ price: StoredPrice?, of model: String, isChanged: Bool
    ) async throws -> Change {
        let (after, offers) = try await transaction.pipeline(ListModels(model: model), ReadCreditOffers())
        let prices = price.map { [$0] } ?? after.map(listed).filter(\.isSold).compactMap(\.price)
        return Change(
            before: before.map(listed), after: after.map(listed), price: price, isChanged: isChanged, margins: margins(offers, prices))
    }

    private func margins(_ offers: [CatalogueChanged], _ prices: [StoredPrice]) -> [Margin] {
        Margin.check(offers.flatMap(\.offers), prices.map { ($0.model, $0.price) })
    }

    // MARK: Obstacles

    private func listed(_ row: ListModels.Output) -> ListedModel {
        var obstacles: [ListedModel.Obstacle] = []
        if !row.isEnabled { obstacles.append(.switchedOff) }
        if !row.isRouteEnabled { obstacles.append(.routeSwitchedOff) }
        if !row.isProviderEnabled { obstacles.append(.providerSwitchedOff) }
        if !configured.contains(row.provider) { obstacles.append(.providerNotConfigured) }
        if row.price == nil { obstacles.append(.notPriced) }
        return ListedModel(
            id: row.id, provider: row.provider, mode: ModelList.mode(of: row.surfaces), source: row.source, price: row.price,
            next: row.next, obstacles: obstacles,
            doubts: row.price.flatMap { $0.isDoubtful ? $0.doubts : nil } ?? [])
    }

    private func listed(_ model: ModelList.Model) -> ListedModel {
        ListedModel(
            id: model.id, provider: model.provider, mode: model.mode,
            obstacles: model.terms == nil ? [.noEndpoint] : [.providerNotConfigured],
            doubts: model.terms?.doubts.map(\.rawValue) ?? [])
    }
}
