import Testing

@testable import Billing

struct CatalogueEditTests {
    private static func plan(_ id: String, position: Int64, isActive: Bool = true) -> Plan {
        var plan = Catalogue.atStart.plans[0]
        (plan.id, plan.position, plan.isActive) = (Plan.ID(text: id), position, isActive)
        return plan
    }

    private func place(_ edit: (inout Catalogue) throws(CatalogueFlaw) -> Void) -> String? {
        var catalogue = Catalogue.atStart
        do throws(CatalogueFlaw) {
            try edit(&catalogue)
            return nil
        } catch {
            #expect(catalogue == .atStart, "a refused change leaves the catalogue as it was")
            return error.place
        }
    }

    @Test func `rows with known ids are replaced, others are added, and all are sorted`() throws {
        var catalogue = Catalogue.atStart
        try catalogue.replace(plans: [Self.plan("team", position: 4), Self.plan("enterprise", position: 5), Self.plan("pro", position: 6)])
        #expect(catalogue.plans.map(\.id.text) == ["free", "team", "enterprise", "pro"])
        try catalogue.replace(packages: [.make("basic", 10_000, cents: 50), .make("mini", 10, cents: 100)])
        #expect(
            catalogue.packages.map(\.id.text) == ["mini", "starter", "standard", "pro", "business", "enterprise", "basic"])
    }

    @Test func `plans may swap positions, and packages sizes`() throws {
        var catalogue = Catalogue.atStart
        try catalogue.replace(plans: [Self.plan("enterprise", position: 2), Self.plan("pro", position: 3)])
        try catalogue.replace(packages: [.make("starter", 100, cents: 900), .make("basic", 50, cents: 500)])
        #expect(catalogue.packages.prefix(2).map(\.id.text) == ["basic", "starter"])
    }

    @Test func `a position or an active size belongs to one row`() {
        #expect(
            place { catalogue throws(CatalogueFlaw) in try catalogue.replace(plans: [Self.plan("team", position: 2)]) } == "[0].position")
        #expect(
            place { catalogue throws(CatalogueFlaw) in
                try catalogue.replace(plans: [Self.plan("free", position: 9), Self.plan("team", position: 9)])
            } == "[0].position")
        #expect(
            place { catalogue throws(CatalogueFlaw) in
                try catalogue.replace(packages: [.make("starter", 50, cents: 500), .make("mini", 50, cents: 400)])
            } == "[0].credits")
        #expect(
            place { catalogue throws(CatalogueFlaw) in
                try catalogue.replace(packages: [
                    .make("mini", 50, cents: 400, isActive: false), .make("starter", 100, cents: 1, isActive: false),
                ])
            } == nil)
    }

    @Test func `the free plan stays on, and a row is given once`() {
        #expect(
            place { catalogue throws(CatalogueFlaw) in try catalogue.replace(plans: [Self.plan("free", position: 1, isActive: false)]) }
                == "[0].is_active")
        #expect(
            place { catalogue throws(CatalogueFlaw) in
                try catalogue.replace(plans: [Self.plan("pro", position: 2), Self.plan("pro", position: 4)])
            } == "[1].id")
        #expect(
            place { catalogue throws(CatalogueFlaw) in
                try catalogue.replace(packages: [.make("a", 1, cents: 50), .make("a", 2, cents: 50)])
            } == "[1].id")
    }

    @Test func `the lists have a bound`() {
        let plans = (0..<20).map { Self.plan("p\($0)", position: Int64($0) + 10) }
        #expect(place { catalogue throws(CatalogueFlaw) in try catalogue.replace(plans: Array(plans.prefix(17))) } == nil)
        #expect(place { catalogue throws(CatalogueFlaw) in try catalogue.replace(plans: Array(plans.prefix(18))) } == "")
        let packages = (0..<95).map { Package.make("p\($0)", Int64($0) + 10_000, cents: 50) }
        #expect(place { catalogue throws(CatalogueFlaw) in try catalogue.replace(packages: Array(packages.prefix(94))) } == nil)
        #expect(place { catalogue throws(CatalogueFlaw) in try catalogue.replace(packages: packages) } == "")
    }
}
