/// The program and the system of a client, as people call them. They are read from its `User-Agent`, which may lie.
struct UserAgent: Sendable, Equatable {
    /// Nil for a text that names no program.
    let program: String?
    /// Nil for a text that names no known system.
    let system: String?

    init(_ text: String) {
        program = Self.first(of: Self.programs, in: text) ?? Self.product(text)
        system = Self.first(of: Self.systems, in: text)
    }

    // A browser also names those that it wants to be taken for: the most special one comes first.
    private static let programs: [(mark: String, name: String)] = [
        ("Line/", "LINE"), ("FBAN/", "Facebook"), ("FBAV/", "Facebook"), ("Instagram ", "Instagram"), ("EdgA/", "Edge"),
        ("EdgiOS/", "Edge"), ("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Vivaldi/", "Vivaldi"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
    ]

    // Android is a Linux, and an iPhone says "like Mac OS X".
    private static let systems: [(mark: String, name: String)] = [
        ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("CrOS", "ChromeOS"),
        ("Macintosh", "macOS"), ("Linux", "Linux"),
    ]

    private static func first(of marks: [(mark: String, name: String)], in text: String) -> String? {
        marks.first { text.contains($0.mark) }?.name
    }

    private static let productLengthMax = 40

    /// Returns the name of the first product (RFC 9110 §10.1.5) of a program that is no browser: `curl` of `curl/8.5.0`.
    private static func product(_ text: String) -> String? {
        let name = text.prefix { $0 != "/" && $0 != " " }
        return name.isEmpty || name == "Mozilla" || name.count > productLengthMax ? nil : String(name)
    }
}
