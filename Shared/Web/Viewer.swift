package import Identity
package import Values

/// The person who looks at a page: language, time zone, and the session if there is one.
package struct Viewer: Sendable {
    package var language: Language
    /// A name of the IANA database.
    package var timeZone: String
    /// Nil on the pages for people who are not signed in.
    package let principal: Principal?
    /// The page as the browser asked for it: the footer leads back there.
    let here: Link
    package let now: Instant
    let assets: Assets
    /// Origins that a form of a page may lead to, next to ours.
    let formOrigins: [String]
    /// Nil where a page does not know the credits of the viewer.
    package var balance: Balance?

    init(language: Language, timeZone: String, principal: Principal?, here: Link, now: Instant, assets: Assets, formOrigins: [String]) {
        (self.language, self.timeZone, self.principal) = (language, timeZone, principal)
        (self.here, self.now, self.assets, self.formOrigins) = (here, now, assets, formOrigins)
    }

    /// The same person on another page, where the address of this one is nothing to come back to.
    package func at(_ link: Link) -> Viewer {
        var viewer = Viewer(
            language: language, timeZone: timeZone, principal: principal, here: link, now: now, assets: assets, formOrigins: formOrigins)
        viewer.balance = balance
        return viewer
    }
}
