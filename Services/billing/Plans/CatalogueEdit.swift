import Contracts

/// A rule that a change of the catalogue breaks.
struct CatalogueFlaw: Error, Hashable {
    /// The place in the list of changed rows, such as `[1].position`; empty for the list as a whole.
    var place: String
    var message: String
}

// The bounds of an edited row.
extension Plan {
    static let nameLengthMax = 100
    static let positionRange: ClosedRange<Int64> = 0...32_767
    /// Whole credits.
    static let monthlyCreditsRange: ClosedRange<Int64> = 1...1_000_000
    static let featuresMax = 20
    static let featureLengthMax = 200
}

extension PlanFeatures {
    static let limitRange: ClosedRange<Int64> = 1...Int64(Int32.max)
    static let priorityRange: ClosedRange<Int64> = 0...32_767
    static let endpointsMax = 32
}

extension Package {
    static let creditsRange: ClosedRange<Int64> = 1...100_000
    static let bonusRange: ClosedRange<Int64> = 0...100_000
}

extension Catalogue {
    static let plansMax = 20
    static let packagesMax = 100

    /// Replaces the plans that have the ids of `edited`, and adds those with new ids.
    mutating func replace(plans edited: [Plan]) throws(CatalogueFlaw) {
        var plans = plans
        for (index, plan) in edited.enumerated() {
            guard !edited[..<index].contains(where: { $0.id == plan.id }) else { throw .repeated("plan", at: index) }
            guard plan.id != .free || plan.isActive else {
                throw CatalogueFlaw(
                    place: "[\(index)].is_active", message: "`is_active` must be true for the plan 'free', which every new user gets.")
            }
            Self.put(plan, into: &plans) { $0.id == plan.id }
        }
        guard plans.count <= Self.plansMax else { throw .tooMany("plans", max: Self.plansMax) }
        for (index, plan) in edited.enumerated() {
            guard let other = plans.first(where: { $0.position == plan.position && $0.id != plan.id }) else { continue }
            throw CatalogueFlaw(
                place: "[\(index)].position",
                message: "`position` is that of the plan '\(other.id.text)'; give each plan a position of its own.")
        }
        self.plans = plans.sorted { $0.position < $1.position }
    }

    /// Replaces the packages that have the ids of `edited`, and adds those with new ids.
    mutating func replace(packages edited: [Package]) throws(CatalogueFlaw) {
        var packages = packages
        for (index, package) in edited.enumerated() {
            guard !edited[..<index].contains(where: { $0.id == package.id }) else { throw .repeated("package", at: index) }
            Self.put(package, into: &packages) { $0.id == package.id }
        }
        guard packages.count <= Self.packagesMax else { throw .tooMany("packages", max: Self.packagesMax) }
        // A user buys a package by its size.
        for (index, package) in edited.enumerated() where package.isActive {
            guard let other = packages.first(where: { $0.isActive && $0.credits == package.credits && $0.id != package.id }) else {
                continue
            }
            throw CatalogueFlaw(
                place: "[\(index)].credits",
                message: "`credits` is the size of the active package '\(other.id.text)'; switch that one off, or choose another size.")
        }
        self.packages = packages.sorted { ($0.credits, $0.id.text) < ($1.credits, $1.id.text) }
    }

    private static func put<Row>(_ row: Row, into rows: inout [Row], where isSame: (Row) -> Bool) {
        if let index = rows.firstIndex(where: isSame) { rows[index] = row } else { rows.append(row) }
    }
}

extension CatalogueFlaw {
    fileprivate static func repeated(_ kind: String, at index: Int) -> CatalogueFlaw {
        CatalogueFlaw(place: "[\(index)].id", message: "`id` is given twice; send each \(kind) once.")
    }

    fileprivate static func tooMany(_ kind: String, max: Int) -> CatalogueFlaw {
        CatalogueFlaw(place: "", message: "There can be at most \(max) \(kind); change one instead of adding one.")
    }
}
