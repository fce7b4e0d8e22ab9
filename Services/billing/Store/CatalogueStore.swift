import Contracts
import Outbox
import Postgres

/// The plans and packages in the database.
struct CatalogueStore: Sendable {
    let pool: PostgresPool

    /// The catalogue after a number of changes.
    struct Version: Sendable {
        var number: Int64
        var catalogue: Catalogue
    }

    enum Outcome: Sendable {
        /// Also if the catalogue was as asked for already.
        case done(Version, isNew: Bool)
        /// Another change came first.
        case outdated
        case flawed(CatalogueFlaw)
    }

    func read() async throws -> Version {
        // The number is read first. Rows that are newer than it only lead to a refused change.
        let (number, plans, packages) = try await pool.withConnection {
            try await $0.pipeline(ReadCatalogueVersion(), ReadPlans(), ReadPackages())
        }
        return Version(number: number[0], catalogue: Catalogue(packages: packages, plans: plans))
    }

    /// Changes the catalogue and announces the change, if `number` is that of the last change.
    func change(
        from number: Int64, _ edit: @Sendable (inout Catalogue) throws(CatalogueFlaw) -> Void
    ) async throws -> Outcome {
        try await pool.transaction { transaction in
            guard try await transaction.one(LockCatalogue()) == number else { return .outdated }
            let (plans, packages) = try await transaction.pipeline(ReadPlans(), ReadPackages())
            let before = Catalogue(packages: packages, plans: plans)
            var catalogue = before
            do throws(CatalogueFlaw) { try edit(&catalogue) } catch { return .flawed(error) }
            guard catalogue != before else { return .done(Version(number: number, catalogue: before), isNew: false) }
            try await transaction.write(catalogue, over: before)
            let change = try await transaction.one(CountCatalogueChange())
            try await Outbox.add(catalogue.announcement(of: change), orderingKey: "catalogue", in: transaction)
            return .done(Version(number: change.version, catalogue: catalogue), isNew: true)
        }
    }
}

extension PostgresTransaction {
    /// Writes the rows that differ.
    fileprivate func write(_ catalogue: Catalogue, over before: Catalogue) async throws {
        for plan in catalogue.plans where !before.plans.contains(plan) { try await execute(PutPlan(plan: plan)) }
        let packages = catalogue.packages.filter { !before.packages.contains($0) }
        guard !packages.isEmpty else { return }
        try await execute(SwitchOffPackages(ids: packages.map(\.id)))
        try await execute(PutPackages(packages: packages))
    }
}

extension Catalogue {
    fileprivate func announcement(of change: CountCatalogueChange.Output) -> CatalogueChanged {
        CatalogueChanged(
            version: change.version, changedAt: change.changedAt,
            plans: plans.map { CatalogueChanged.Plan(id: $0.id.text, features: $0.limits) })
    }
}
