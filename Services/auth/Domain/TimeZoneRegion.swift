/// A region of the IANA time zone database, with its zones by the names of their cities, which people know.
struct TimeZoneRegion: Sendable, Equatable {
    enum Name: String, CaseIterable {
        case africa = "Africa"
        case america = "America"
        case antarctica = "Antarctica"
        case arctic = "Arctic"
        case asia = "Asia"
        case atlantic = "Atlantic"
        case australia = "Australia"
        case europe = "Europe"
        case indian = "Indian"
        case pacific = "Pacific"
    }

    struct Zone: Sendable, Equatable {
        let name: String
        let city: String
    }

    let name: Name
    let zones: [Zone]

    /// - Parameter names: all names of the database. Those of no region, like `Etc/GMT+7`, and copies of the whole database, like
    ///   `posix/Asia/Bangkok`, are left out.
    static func all(_ names: Set<String>) -> [TimeZoneRegion] {
        var zones: [Name: [Zone]] = [:]
        for name in names {
            let parts = name.split(separator: "/")
            guard parts.count > 1, let region = Name(rawValue: String(parts[0])) else { continue }
            zones[region, default: []].append(Zone(name: name, city: city(parts.dropFirst())))
        }
        return Name.allCases.compactMap { name in
            zones[name].map { TimeZoneRegion(name: name, zones: $0.sorted { $0.city < $1.city }) }
        }
    }

    /// The city before its country: `Knox, Indiana` of `Indiana/Knox`.
    private static func city(_ parts: ArraySlice<Substring>) -> String {
        parts.reversed().map { $0.replacing("_", with: " ") }.joined(separator: ", ")
    }
}
