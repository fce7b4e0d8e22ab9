import Web

/// The time zones of a choice, by region. A region has its zones by the name of the city, which a person knows.
struct TimeZoneChoice {
    let language: Language

    /// - Parameters:
    ///   - names: the names of the IANA database, with all their old spellings.
    ///   - chosen: stands in the choice whatever its name is.
    func groups(_ names: Set<String>, chosen: String) -> [(title: String, options: [Form.Option])] {
        var regions: [Substring: [Form.Option]] = [:]
        for name in names {
            let parts = name.split(separator: "/")
            guard parts.count > 1, title(of: parts[0]) != nil else { continue }
            regions[parts[0], default: []].append(Form.Option(name, Self.city(parts.dropFirst()), in: .en))
        }
        let isListed = names.contains(chosen) && title(of: chosen.prefix { $0 != "/" }) != nil
        let others = isListed || chosen == "UTC" ? ["UTC"] : ["UTC", chosen]
        return regions.sorted { $0.key < $1.key }.map { (title(of: $0.key) ?? "", $0.value.sorted { $0.text < $1.text }) }
            + [(language(en: "Other", th: "อื่น ๆ"), others.map { Form.Option($0, $0, in: .en) })]
    }

    /// The city before its country: `Knox, Indiana` of `Indiana/Knox`.
    private static func city(_ parts: ArraySlice<Substring>) -> String {
        parts.reversed().map { $0.replacing("_", with: " ") }.joined(separator: ", ")
    }

    /// Nil for names that are no region, like `Etc`, and for copies of the whole database, like `posix`.
    private func title(of region: Substring) -> String? {
        switch region {
        case "Africa": language(en: "Africa", th: "แอฟริกา")
        case "America": language(en: "America", th: "อเมริกา")
        case "Antarctica": language(en: "Antarctica", th: "แอนตาร์กติกา")
        case "Arctic": language(en: "Arctic", th: "อาร์กติก")
        case "Asia": language(en: "Asia", th: "เอเชีย")
        case "Atlantic": language(en: "Atlantic", th: "แอตแลนติก")
        case "Australia": language(en: "Australia", th: "ออสเตรเลีย")
        case "Europe": language(en: "Europe", th: "ยุโรป")
        case "Indian": language(en: "Indian Ocean", th: "มหาสมุทรอินเดีย")
        case "Pacific": language(en: "Pacific", th: "แปซิฟิก")
        default: nil
        }
    }
}
