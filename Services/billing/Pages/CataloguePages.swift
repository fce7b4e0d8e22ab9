import Contracts
import HTTP
import Values
import Web

/// `/admin/catalogue` and below: the plans and packages, and a form for each.
struct CataloguePages {
    let viewer: Viewer
    private var strings: CatalogueStrings { CatalogueStrings(language: viewer.language) }

    static let version = "version"

    static func link(_ plan: Plan.ID) -> Link { Link("/admin/catalogue/plans").segment(plan.text) }
    static func link(_ package: Package.ID) -> Link { Link("/admin/catalogue/packages").segment(package.text) }

    // MARK: The lists

    func list(_ catalogue: Catalogue, _ prices: [PlanPrice], isSaved: Bool) -> Response {
        viewer.show(Page(strings.title, place: .adminCatalogue, isWide: true)) {
            if isSaved { notice(.done) { p { strings.saved } } }
            h1 { strings.title }
            p(.class("muted")) { strings.intro }
            panel(strings.plans) { plans(catalogue.plans, prices) }
            panel(strings.packages) { packages(catalogue.packages) }
        }
    }

    private func plans(_ plans: [Plan], _ prices: [PlanPrice]) -> HTML {
        let texts = PlanStrings(language: viewer.language)
        func price(_ plan: Plan, _ interval: Plan.Interval) -> HTML {
            let price = prices.first { $0.isCurrent && $0.plan == plan.id.text && $0.interval == interval }
            return HTML(price.map { viewer.price(cents: $0.amountCents) } ?? "–")
        }
        return dataTable(
            strings.plans,
            [
                Column(strings.name, isLong: true), Column(strings.state), .figures(strings.monthlyCredits), .figures(texts.monthly),
                .figures(texts.yearly(off: nil), isMinor: true),
            ],
            plans.map { plan in
                [
                    name(plan.name, Self.link(plan.id)), tags(isPopular: plan.isPopular, isActive: plan.isActive),
                    viewer.figure(plan.monthlyCredits), price(plan, .month), price(plan, .year),
                ]
            }, isStacked: true)
    }

    private func packages(_ packages: [Package]) -> HTML {
        dataTable(
            strings.packages,
            [
                Column(strings.name, isLong: true), Column(strings.state), .figures(strings.credits),
                .figures(strings.bonus, isMinor: true),
                .figures(strings.price),
            ],
            packages.map { package in
                [
                    name(package.name, Self.link(package.id)), tags(isPopular: package.isPopular, isActive: package.isActive),
                    HTML(viewer.number(package.credits)), HTML(viewer.number(package.bonus)),
                    HTML(viewer.money(cents: package.priceCents)),
                ]
            }, isStacked: true)
    }

    private func name(_ name: String, _ link: Link) -> HTML { a(link, .ariaLabel("\(strings.edit): \(name)")) { bdi { name } } }

    @HTMLBuilder private func tags(isPopular: Bool, isActive: Bool) -> HTML {
        tag(isActive ? strings.sold : strings.notSold, isWarning: !isActive)
        if isPopular { HTML(" ") + tag(strings.popular) }
    }

    // MARK: The forms

    func edit(_ plan: Plan, _ sent: FormInput, status: Int = 200) -> Response {
        edit(strings.editPlan(plan.name), Self.link(plan.id), sent, status) { form in
            form.field("name", strings.name)
            form.field("monthly_credits", strings.monthlyCredits, .amount)
            form.field("features", strings.features, .list, hint: strings.featuresHint, isOptional: true)
            form.field("position", strings.position, .amount, hint: strings.positionHint)
            form.field("requests_per_minute", strings.requests, .amount, hint: strings.limitHint, isOptional: true)
            form.field("tokens_per_minute", strings.tokens, .amount, isOptional: true)
            form.field("concurrency", strings.concurrency, .amount, isOptional: true)
            form.field("priority", strings.priority, .amount, hint: strings.priorityHint)
            form.field("endpoints", strings.endpoints, .list, hint: strings.endpointsHint, isOptional: true)
        }
    }

    func edit(_ package: Package, _ sent: FormInput, status: Int = 200) -> Response {
        edit(strings.editPackage(package.name), Self.link(package.id), sent, status) { form in
            form.field("name", strings.name)
            form.field("credits", strings.credits, .amount)
            form.field("bonus", strings.bonus, .amount)
            form.field("price_usd", strings.price, .amount)
        }
    }

    private func edit(
        _ title: String, _ link: Link, _ sent: FormInput, _ status: Int, @HTMLBuilder fields: (Form) -> HTML
    ) -> Response {
        let form = Form(viewer, sent)
        return viewer.show(Page(title, status: status, place: .adminCatalogue)) {
            panel {
                h1 { title }
                form(link, hidden: [Self.version: sent[Self.version]]) {
                    fields(form)
                    form.box("is_popular", strings.isPopular)
                    form.box("is_active", strings.isActive, hint: strings.isActiveHint)
                    submit(strings.save)
                }
                linkButton(viewer.cancel, Place.adminCatalogue.link)
            }
        }
    }
}

extension FormInput {
    /// The fields of a plan as it is.
    init(_ plan: Plan, version: Int64) {
        var fields = [
            "name": plan.name, "monthly_credits": plan.monthlyCredits.description, "position": String(plan.position),
            "features": plan.features.joined(separator: "; "), "priority": String(plan.limits.priority),
            "endpoints": plan.limits.endpoints?.joined(separator: ", ") ?? "", CataloguePages.version: String(version),
        ]
        fields["requests_per_minute"] = plan.limits.requestsPerMinute.map { String($0) }
        fields["tokens_per_minute"] = plan.limits.tokensPerMinute.map { String($0) }
        fields["concurrency"] = plan.limits.concurrency.map { String($0) }
        if plan.isPopular { fields["is_popular"] = "on" }
        if plan.isActive { fields["is_active"] = "on" }
        self.init(fields)
    }

    /// The fields of a package as it is.
    init(_ package: Package, version: Int64) {
        var fields = [
            "name": package.name, "credits": String(package.credits), "bonus": String(package.bonus),
            "price_usd": USD(cents: package.priceCents).text, CataloguePages.version: String(version),
        ]
        if package.isPopular { fields["is_popular"] = "on" }
        if package.isActive { fields["is_active"] = "on" }
        self.init(fields)
    }
}
