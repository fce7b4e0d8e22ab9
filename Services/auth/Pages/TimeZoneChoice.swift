import Web

/// The time zones of a choice, by region.
struct TimeZoneChoice {
    let language: Language

    /// - Parameter chosen: stands in the choice whatever its name is.
    func groups(_ regions: [TimeZoneRegion], chosen: String) -> [(title: String, options: [Form.Option])] {
        let isListed = chosen == "UTC" || regions.contains { region in region.zones.contains { $0.name == chosen } }
        let others = isListed ? ["UTC"] : ["UTC", chosen]
        return regions.map { region in (title(of: region.name), region.zones.map { Form.Option($0.name, $0.city, in: .en) }) }
            + [(language(en: "Other", th: "อื่น ๆ"), others.map { Form.Option($0, $0, in: .en) })]
    }

    private func title(of region: TimeZoneRegion.Name) -> String {
        switch region {
        case .africa: language(en: "Africa", th: "แอฟริกา")
        case .america: language(en: "America", th: "อเมริกา")
        case .antarctica: language(en: "Antarctica", th: "แอนตาร์กติกา")
        case .arctic: language(en: "Arctic", th: "อาร์กติก")
        case .asia: language(en: "Asia", th: "เอเชีย")
        case .atlantic: language(en: "Atlantic", th: "แอตแลนติก")
        case .australia: language(en: "Australia", th: "ออสเตรเลีย")
        case .europe: language(en: "Europe", th: "ยุโรป")
        case .indian: language(en: "Indian Ocean", th: "มหาสมุทรอินเดีย")
        case .pacific: language(en: "Pacific", th: "แปซิฟิก")
        }
    }
}
