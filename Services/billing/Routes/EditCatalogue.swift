import Contracts
import HTTP
import Identity
import JSON
import Telemetry
import Text
import Values

/// The catalogue as an administrator reads and writes it. A change names the `version` that it was made from, and each row in
/// full. Rows that it does not name stay as they are; none is deleted.
extension Routes {
    /// {version, plans}
    func allPlans(_ request: Request, administrator: Principal) async throws -> Response { .plans(of: try await catalogue.read()) }

    /// {version, packages}
    func allPackages(_ request: Request, administrator: Principal) async throws -> Response { .packages(of: try await catalogue.read()) }

    /// Replaces the plans that the body names, and adds those with new ids.
    func putPlans(_ request: Request, administrator: Principal) async throws -> Response {
        let edit = try CatalogueEdit(request.json(), "plans", max: Catalogue.plansMax, read: Plan.init(edited:))
        let version = try await change(edit, by: administrator, request) { catalogue, plans throws(CatalogueFlaw) in
            try catalogue.replace(plans: plans)
        }
        return .plans(of: version)
    }

    /// Replaces the packages that the body names, and adds those with new ids.
    func putPackages(_ request: Request, administrator: Principal) async throws -> Response {
        let edit = try CatalogueEdit(request.json(), "packages", max: Catalogue.packagesMax, read: Package.init(edited:))
        let version = try await change(edit, by: administrator, request) { catalogue, packages throws(CatalogueFlaw) in
            try catalogue.replace(packages: packages)
        }
        return .packages(of: version)
    }

    private var catalogue: CatalogueStore { CatalogueStore(pool: pool) }

    private func change<Row: Sendable>(
        _ edit: CatalogueEdit<Row>, by administrator: Principal, _ request: Request,
        _ replace: @Sendable (inout Catalogue, [Row]) throws(CatalogueFlaw) -> Void
    ) async throws -> CatalogueStore.Version {
        let outcome = try await catalogue.change(from: edit.version) { catalogue throws(CatalogueFlaw) in try replace(&catalogue, edit.rows)
        }
        switch outcome {
        case .done(let version, let isNew):
            guard isNew else { return version }
            log.info(
                "catalogue changed",
                [
                    "list": .string(edit.list), "ids": .string(edit.ids.joined(separator: ",")),
                    "catalogue.version": .describing(version.number), "admin.id": .describing(administrator.userID),
                ], trace: request.trace)
            return version
        case .outdated:
            throw Problem.conflict("The catalogue has changed since version \(edit.version). Read it again, then repeat the change.")
        case .flawed(let flaw):
            throw Problem.invalidRequest(flaw.message, param: edit.list + flaw.place)
        }
    }
}

/// A change of the catalogue as an administrator asks for it.
private struct CatalogueEdit<Row: Sendable>: Sendable {
    let version: Int64
    /// The member that has the rows.
    let list: String
    let rows: [Row]
    let ids: [String]

    /// - Parameter max: the most rows that one list can have.
    init(_ json: JSONObject, _ list: String, max: Int, read: (JSONObject) throws -> Row) throws {
        try json.refuseMembers(except: ["version", list])
        version = try json.integer("version")
        self.list = list
        let values = try json.array(list)
        guard (1...max).contains(values.count) else {
            throw Problem.invalidRequest("`\(list)` must have 1 to \(max) rows.", param: list)
        }
        var (rows, ids): ([Row], [String]) = ([], [])
        for (index, value) in values.enumerated() {
            try Problem.within("\(list)[\(index)]") {
                guard let object = value.object else { throw Problem.invalidRequest("Expected an object.") }
                rows.append(try read(object))
                ids.append(try object.string("id"))
            }
        }
        (self.rows, self.ids) = (rows, ids)
    }
}

extension Problem {
    /// Runs `body`, and puts the place of what it reads before the name of the member in its error.
    fileprivate static func within<Value>(_ place: String, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as JSONError {
            throw Problem(error).within(place)
        } catch let problem as Problem {
            throw problem.within(place)
        }
    }

    private func within(_ place: String) -> Problem {
        var problem = self
        problem.param = param.map { "\(place).\($0)" } ?? place
        return problem
    }
}

extension Response {
    fileprivate static func plans(of version: CatalogueStore.Version) -> Response {
        .object(200) { json in
            json.field("version", version.number)
            json.array("plans") { json in
                for plan in version.catalogue.plans {
                    json.object { json in
                        plan.encodeFacts(into: &json)
                        json.field("is_active", plan.isActive)
                    }
                }
            }
        }
    }

    fileprivate static func packages(of version: CatalogueStore.Version) -> Response {
        .object(200) { json in
            json.field("version", version.number)
            json.array("packages") { json in
                for package in version.catalogue.packages {
                    json.object { json in
                        package.encodeFacts(into: &json)
                        json.field("is_active", package.isActive)
                    }
                }
            }
        }
    }
}

extension Plan {
    fileprivate init(edited json: JSONObject) throws {
        try json.refuseMembers(except: ["id", "name", "position", "monthly_credits", "features", "limits", "is_popular", "is_active"])
        self.init(
            id: ID(text: try json.rowID()), name: try json.text("name", lengthMax: Self.nameLengthMax),
            position: try json.whole("position", in: Self.positionRange),
            monthlyCredits: Credits(whole: try json.whole("monthly_credits", in: Self.monthlyCreditsRange)),
            features: try json.texts("features", countMax: Self.featuresMax, lengthMax: Self.featureLengthMax),
            isPopular: try json.bool("is_popular"),
            isActive: try json.bool("is_active"),
            limits: try Problem.within("limits") { try PlanFeatures(edited: json.object("limits")) })
    }
}

extension PlanFeatures {
    private static let names = ["endpoints", "requests_per_minute", "tokens_per_minute", "concurrency", "priority"]

    /// Each limit must be present, because a forgotten one would be no limit.
    fileprivate init(edited json: JSONObject) throws {
        try json.refuseMembers(except: Self.names)
        for name in Self.names where json.member(name) == nil { throw Problem.missingParameter(name) }
        func limit(_ name: String) throws -> Int64? { json.has(name) ? try json.whole(name, in: Self.limitRange) : nil }
        self.init(
            endpoints: json.has("endpoints") ? try json.names("endpoints", countMax: Self.endpointsMax) : nil,
            requestsPerMinute: try limit("requests_per_minute"), tokensPerMinute: try limit("tokens_per_minute"),
            concurrency: try limit("concurrency"), priority: try json.whole("priority", in: Self.priorityRange))
    }
}

extension Package {
    fileprivate init(edited json: JSONObject) throws {
        try json.refuseMembers(except: ["id", "name", "credits", "bonus", "price_usd", "is_popular", "is_active"])
        self.init(
            id: ID(text: try json.rowID()), name: try json.text("name", lengthMax: Plan.nameLengthMax),
            credits: try json.whole("credits", in: Self.creditsRange), bonus: try json.whole("bonus", in: Self.bonusRange),
            priceCents: try json.cents("price_usd", in: Package.priceCents), isPopular: try json.bool("is_popular"),
            isActive: try json.bool("is_active"))
    }
}

extension JSONObject {
    fileprivate func refuseMembers(except known: [String]) throws(Problem) {
        for member in members where !known.contains(member.name) { throw .unknownParameter(member.name) }
    }

    fileprivate func whole(_ name: String, in range: ClosedRange<Int64>) throws -> Int64 {
        let value = try integer(name)
        guard range.contains(value) else {
            throw Problem.invalidRequest("`\(name)` must be a whole number from \(range.lowerBound) to \(range.upperBound).", param: name)
        }
        return value
    }

    fileprivate func rowID() throws -> String {
        let id = try string("id")
        guard id.isRowName else {
            throw Problem.invalidRequest("`id` must have 1 to 32 characters: a-z, then a-z, 0-9, - and _.", param: "id")
        }
        return id
    }

    fileprivate func names(_ name: String, countMax: Int) throws -> [String] {
        let values = try array(name).map { $0.string ?? "" }
        guard values.count <= countMax, values.allSatisfy(\.isRowName) else {
            throw Problem.invalidRequest("`\(name)` must be null or at most \(countMax) names of a-z, 0-9, - and _.", param: name)
        }
        return values
    }

    fileprivate func texts(_ name: String, countMax: Int, lengthMax: Int) throws -> [String] {
        let values = try array(name).map { $0.string ?? "" }
        let lengths = 1...lengthMax
        guard values.count <= countMax,
            values.allSatisfy({ lengths.contains($0.unicodeScalars.count) && $0.unicodeScalars.allSatisfy(\.isVisible) })
        else {
            throw Problem.invalidRequest(
                "`\(name)` must be at most \(countMax) texts of 1 to \(lengthMax) characters, all of them visible.", param: name)
        }
        return values
    }

    /// A number of dollars with at most 2 fraction digits, in cents.
    fileprivate func cents(_ name: String, in range: ClosedRange<Int64>) throws -> Int64 {
        guard let cents = USD(decimal: try decimalText(name))?.cents, range.contains(cents) else {
            let (least, most) = (USD(cents: range.lowerBound).text, USD(cents: range.upperBound).text)
            throw Problem.invalidRequest(
                "`\(name)` must be a number from \(least) to \(most) with at most 2 fraction digits and no exponent.", param: name)
        }
        return cents
    }
}

extension String {
    /// True for 1 to 32 characters that need no quoting anywhere.
    var isRowName: Bool {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let others = [UInt8](UInt8(ascii: "0")...UInt8(ascii: "9")) + [UInt8(ascii: "-"), UInt8(ascii: "_")]
        return utf8.count <= 32 && utf8.first.map(letters.contains) == true
            && utf8.allSatisfy { letters.contains($0) || others.contains($0) }
    }
}
