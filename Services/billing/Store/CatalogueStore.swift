import Contracts
import Outbox
import Postgres
import Values

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
            let change = try await transaction.announce(catalogue)
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

    /// Counts a change and announces the catalogue.
    fileprivate func announce(_ catalogue: Catalogue) async throws -> CountCatalogueChange.Output {
        let (changes, prices) = try await pipeline(CountCatalogueChange(), AllPlanPrices())
        try await Outbox.add(catalogue.announcement(of: changes[0], prices), orderingKey: "catalogue", in: self)
        return changes[0]
    }

    /// Puts Stripe's prices on sale. Announces the catalogue if a price changed, or if it was never
    /// announced.
    func put(_ prices: [UpsertPlanPrice]) async throws {
        let (isAnnounced, before) = try await pipeline(LockAnnouncement(), AllPlanPrices())
        try await execute(RetirePlanPrices(except: prices.map(\.priceID)))
        for price in prices.sorted(by: { $0.priceID < $1.priceID }) { try await execute(price) }
        let (plans, packages, after) = try await pipeline(ReadPlans(), ReadPackages(), AllPlanPrices())
        guard isAnnounced != [true] || Set(before) != Set(after) else { return }
        _ = try await announce(Catalogue(packages: packages, plans: plans))
    }
}

extension Catalogue {
    fileprivate func announcement(of change: CountCatalogueChange.Output, _ prices: [PlanPrice]) -> CatalogueChanged {
        func cents(_ plan: Plan, _ interval: Plan.Interval) -> Int64? {
            prices.first { $0.isCurrent && $0.plan == plan.id.text && $0.interval == interval && $0.currency == "usd" }?.amountCents
        }
        return CatalogueChanged(
            version: change.version, changedAt: change.changedAt,
            plans: plans.map { plan in
                CatalogueChanged.Plan(
                    id: plan.id.text, features: plan.limits, monthlyCredits: plan.monthlyCredits, monthCents: cents(plan, .month),
                    yearCents: cents(plan, .year), isActive: plan.isActive)
            },
            packages: packages.map { package in
                CatalogueChanged.Package(
                    id: package.id.text, credits: Credits(whole: package.credits), bonus: Credits(whole: package.bonus),
                    priceCents: package.priceCents, isActive: package.isActive)
            })
    }
}
