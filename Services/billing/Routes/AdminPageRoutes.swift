import Contracts
import HTTP
import Identity
import Postgres
import Telemetry
import Text
import Values
import Web

/// The pages of the catalogue and of payments, for administrators.
extension Routes {
    private static let eventsOnPage = 25

    // MARK: The catalogue

    /// `done=saved`.
    func showCatalogue(_ request: Request, caller: Principal) async throws -> Response {
        let catalogue = try await CatalogueStore(pool: pool).read().catalogue
        return CataloguePages(viewer: site.viewer(request, caller)).list(
            catalogue, try await pool.query(AllPlanPrices()), isSaved: request.query["done"] == "saved")
    }

    func showPlanForm(_ request: Request, caller: Principal) async throws -> Response {
        let (plan, version) = try await plan(request)
        return CataloguePages(viewer: site.viewer(request, caller)).edit(plan, FormInput(plan, version: version.number))
    }

    func showPackageForm(_ request: Request, caller: Principal) async throws -> Response {
        let (package, version) = try await package(request)
        return CataloguePages(viewer: site.viewer(request, caller)).edit(package, FormInput(package, version: version.number))
    }

    private func plan(_ request: Request) async throws -> (Plan, CatalogueStore.Version) {
        let version = try await CatalogueStore(pool: pool).read()
        guard let plan = version.catalogue.plans.first(where: { $0.id.text == request.pathParameters["id"] }) else {
            throw Problem.notFound("This plan")
        }
        return (plan, version)
    }

    private func package(_ request: Request) async throws -> (Package, CatalogueStore.Version) {
        let version = try await CatalogueStore(pool: pool).read()
        guard let package = version.catalogue.packages.first(where: { $0.id.text == request.pathParameters["id"] }) else {
            throw Problem.notFound("This package")
        }
        return (package, version)
    }

    /// A form with all facts of the plan, and the version of the catalogue that it was made from → 303.
    func submitPlanForm(_ request: Request, caller: Principal) async throws -> Response {
        let (plan, version) = try await plan(request)
        var sent = try FormInput(request)
        let pages = CataloguePages(viewer: site.viewer(request, caller))
        guard let edited = Plan(plan.id, &sent, pages.viewer) else { return pages.edit(plan, sent, status: 400) }
        let saved = try await save(&sent, version, by: caller, pages.viewer, request) { catalogue throws(CatalogueFlaw) in
            try catalogue.replace(plans: [edited])
        }
        return saved ?? pages.edit(plan, sent, status: 409)
    }

    /// The same for a package.
    func submitPackageForm(_ request: Request, caller: Principal) async throws -> Response {
        let (package, version) = try await package(request)
        var sent = try FormInput(request)
        let pages = CataloguePages(viewer: site.viewer(request, caller))
        guard let edited = Package(package.id, &sent, pages.viewer) else { return pages.edit(package, sent, status: 400) }
        let saved = try await save(&sent, version, by: caller, pages.viewer, request) { catalogue throws(CatalogueFlaw) in
            try catalogue.replace(packages: [edited])
        }
        return saved ?? pages.edit(package, sent, status: 409)
    }

    /// - Returns: nil if the form is shown again, with its errors.
    private func save(
        _ sent: inout FormInput, _ version: CatalogueStore.Version, by administrator: Principal, _ viewer: Viewer, _ request: Request,
        _ edit: @Sendable (inout Catalogue) throws(CatalogueFlaw) -> Void
    ) async throws -> Response? {
        guard let number = Int64(sent[CataloguePages.version]) else {
            throw Problem.invalidRequest("`version` must be that of a form; open the page again.", param: "version")
        }
        let strings = CatalogueStrings(language: viewer.language)
        switch try await CatalogueStore(pool: pool).change(from: number, edit) {
        case .done(let version, let isNew):
            if isNew {
                log.info(
                    "catalogue changed",
                    [
                        "list": "page", "ids": .string(request.pathParameters["id"]), "catalogue.version": .describing(version.number),
                        "admin.id": .describing(administrator.userID),
                    ], trace: request.trace)
            }
            return viewer.seeOther(Place.adminCatalogue.link.with("done", "saved"))
        case .outdated:
            sent.refuse("name", strings.outdated)
            sent[CataloguePages.version] = String(version.number)
        case .flawed(let flaw):
            switch flaw.place.split(separator: ".").last {
            case "position": sent.refuse("position", strings.positionTaken)
            case "credits": sent.refuse("credits", strings.sizeTaken)
            default: sent.refuse("is_active", strings.freeIsSold)
            }
        }
        return nil
    }

    // MARK: Payments

    /// `state` and `before`, the time of the last event of the page before.
    func showPayments(_ request: Request, caller: Principal) async throws -> Response {
        let state = try request.query.optionalString("state") ?? ""
        guard state.isEmpty || ListEvents.states.contains(state) else {
            throw Problem.invalidRequest("`state` must be one of \(ListEvents.states.joined(separator: ", ")).", param: "state")
        }
        let text = try request.query.optionalString("before")
        let before = text.flatMap { Instant($0) }
        guard text == nil || before != nil else {
            throw Problem.invalidRequest("`before` must be a time like 2026-11-22T09:30:00Z.", param: "before")
        }
        let (events, dead, reviews) = try await pool.withConnection {
            try await $0.pipeline(
                ListEvents(state: state.isEmpty ? nil : state, before: before, limit: Int64(Self.eventsOnPage + 1)),
                HasDeadEvents(), ListReviews(before: nil, limit: 100))
        }
        let shown = Array(events.prefix(Self.eventsOnPage))
        return AdminPaymentPages(viewer: site.viewer(request, caller)).list(
            shown, state: state, isFirst: before == nil, next: events.count > shown.count ? shown.last?.receivedAt : nil,
            hasDead: dead.contains(true), reviews: reviews, done: request.query["done"].flatMap(AdminPaymentPages.Done.init))
    }

    /// A form {act: decide|close} → 303. An id that waits no more leads back to the list.
    func submitReview(_ request: Request, caller: Principal) async throws -> Response {
        let viewer = site.viewer(request, caller)
        let id = request.pathParameters["id"]
        guard let review = try await pool.first(FindReview(id: id)) else { return viewer.seeOther(Place.adminPayments.link) }
        let closes = try FormInput(request)["act"] == AdminPaymentPages.close
        let waits =
            closes ? try await close(review, caller, request.trace) == false : try await decide(review, caller, request.trace) != nil
        let done: AdminPaymentPages.Done = waits ? .waits : closes ? .closed : .decided
        return viewer.seeOther(Place.adminPayments.link.with("done", done.rawValue))
    }

    /// `done=replayed`.
    func showEvent(_ request: Request, caller: Principal) async throws -> Response {
        guard let found = try await pool.first(FindEvent(id: request.pathParameters["id"])) else { throw Problem.notFound("This event") }
        return AdminPaymentPages(viewer: site.viewer(request, caller)).show(
            found.event, body: found.raw, isReplayed: request.query["done"] == "replayed")
    }

    /// A form without fields → 303. An event that is in work already stays as it is.
    func submitReplay(_ request: Request, caller: Principal) async throws -> Response {
        let id = request.pathParameters["id"]
        guard try await pool.first(FindEvent(id: id)) != nil else { throw Problem.notFound("This event") }
        if try await billing.replay(id) {
            log.info("event replayed", ["event": .string(id), "admin": .describing(caller.userID)], trace: request.trace)
        }
        return site.viewer(request, caller).seeOther(AdminPaymentPages.link(id).with("done", "replayed"))
    }
}

// MARK: Reading the forms

extension Plan {
    /// Reads the form of a plan, or notes its errors.
    fileprivate init?(_ id: ID, _ sent: inout FormInput, _ viewer: Viewer) {
        let strings = CatalogueStrings(language: viewer.language)
        let name = sent.name(viewer)
        let credits = sent.whole("monthly_credits", in: Self.monthlyCreditsRange, viewer)
        let position = sent.whole("position", in: Self.positionRange, viewer)
        let priority = sent.whole("priority", in: PlanFeatures.priorityRange, viewer)
        func limit(_ field: String) -> Int64? {
            sent[field].trimmed.isEmpty ? nil : sent.whole(field, in: PlanFeatures.limitRange, viewer)
        }
        let (requests, tokens, concurrency) = (limit("requests_per_minute"), limit("tokens_per_minute"), limit("concurrency"))
        let features = sent.list("features", ";")
        if features.count > Self.featuresMax || !features.allSatisfy({ $0.isVisible(upTo: Self.featureLengthMax) }) {
            sent.refuse("features", strings.wrongFeatures)
        }
        let endpoints = sent.list("endpoints", ",")
        if endpoints.count > PlanFeatures.endpointsMax || !endpoints.allSatisfy(\.isRowName) {
            sent.refuse("endpoints", strings.wrongEndpoints)
        }
        guard sent.isFine, let credits, let position, let priority else { return nil }
        self.init(
            id: id, name: name, position: position, monthlyCredits: Credits(whole: credits), features: features,
            isPopular: sent.isOn("is_popular"), isActive: sent.isOn("is_active"),
            limits: PlanFeatures(
                endpoints: endpoints.isEmpty ? nil : endpoints, requestsPerMinute: requests, tokensPerMinute: tokens,
                concurrency: concurrency, priority: priority))
    }
}

extension Package {
    /// Reads the form of a package, or notes its errors.
    fileprivate init?(_ id: ID, _ sent: inout FormInput, _ viewer: Viewer) {
        let name = sent.name(viewer)
        let credits = sent.whole("credits", in: Self.creditsRange, viewer)
        let bonus = sent.whole("bonus", in: Self.bonusRange, viewer)
        let price = USD(decimal: sent["price_usd"].trimmed).flatMap { Self.priceCents.contains($0.cents) ? $0 : nil }
        if price == nil {
            let (least, most) = (viewer.price(cents: Self.priceCents.lowerBound), viewer.price(cents: Self.priceCents.upperBound))
            sent.refuse("price_usd", CatalogueStrings(language: viewer.language).wrongPrice(least, most))
        }
        guard sent.isFine, let credits, let bonus, let price else { return nil }
        self.init(
            id: id, name: name, credits: credits, bonus: bonus, priceCents: price.cents, isPopular: sent.isOn("is_popular"),
            isActive: sent.isOn("is_active"))
    }
}

extension FormInput {
    fileprivate mutating func name(_ viewer: Viewer) -> String {
        let name = self["name"].trimmed
        if !name.isVisible(upTo: Plan.nameLengthMax) {
            refuse("name", CatalogueStrings(language: viewer.language).wrongName(Plan.nameLengthMax))
        }
        return name
    }

    fileprivate mutating func whole(_ field: String, in range: ClosedRange<Int64>, _ viewer: Viewer) -> Int64? {
        if let value = Int64(self[field].trimmed), range.contains(value) { return value }
        let strings = CatalogueStrings(language: viewer.language)
        refuse(field, strings.wrongNumber(viewer.number(range.lowerBound), viewer.number(range.upperBound)))
        return nil
    }

    fileprivate func list(_ field: String, _ separator: Character) -> [String] {
        self[field].split(separator: separator).map { String($0).trimmed }.filter { !$0.isEmpty }
    }
}

extension String {
    fileprivate func isVisible(upTo most: Int) -> Bool {
        (1...most).contains(unicodeScalars.count) && unicodeScalars.allSatisfy(\.isVisible)
    }
}
