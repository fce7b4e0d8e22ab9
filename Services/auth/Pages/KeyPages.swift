import Contracts
import HTTP
import Identity
import Values
import Web

/// `/settings/keys`: the API keys of a user.
struct KeyPages {
    let viewer: Viewer
    private var strings: KeyStrings { KeyStrings(language: viewer.language) }
    private static let new: Link = "/settings/keys/new"

    static func link(_ key: APIKeyRecord) -> Link { SettingsTab.keys.link.segment(key.id.rawValue) }

    // MARK: The list

    func list(_ keys: [APIKeyRecord], done: String?) -> Response {
        viewer.show(.keys) {
            if done == "revoked" { notice(.done) { p { strings.revoked } } }
            div(.class("split")) {
                p(.class("muted")) { strings.intro }
                if !keys.isEmpty { linkButton(strings.create, Self.new, .primary) }
            }
            panel {
                if keys.isEmpty {
                    emptyState(strings.empty) { linkButton(strings.create, Self.new, .primary) }
                } else {
                    rows(keys.map { (entry($0), linkButton(strings.revoke, Self.link($0), of: $0.name)) })
                }
            }
        }
    }

    private func entry(_ key: APIKeyRecord) -> HTML {
        p {
            strong { key.name }
            " "
            code { Self.masked(key) }
            if let end = key.expiresAt, end <= viewer.now { HTML(" ") + tag(strings.expired, isWarning: true) }
        } + p(.class("muted")) { "\(strings.scopes) \(ScopeStrings(language: viewer.language).list(key.scopes))" }
            + p(.class("muted")) {
                "\(strings.created) "
                viewer.day(key.createdAt)
                " · "
                lastUse(key)
                " · "
                expiry(key)
            } + p(.class("muted")) { limits(key.limits) }
    }

    private static func masked(_ key: APIKeyRecord) -> String { "\(APIKey.prefix)…\(key.last4)" }

    @HTMLBuilder private func lastUse(_ key: APIKeyRecord) -> HTML {
        if let instant = key.lastUsedAt {
            "\(strings.lastUsed) "
            viewer.ago(instant)
        } else {
            strings.neverUsed
        }
    }

    @HTMLBuilder private func expiry(_ key: APIKeyRecord) -> HTML {
        if let instant = key.expiresAt {
            "\(instant <= viewer.now ? strings.expired : strings.expires) "
            viewer.day(instant)
        } else {
            strings.neverExpires
        }
    }

    @HTMLBuilder private func limits(_ limits: SpendingLimits) -> HTML {
        if limits.isUnlimited {
            strings.noLimit
        } else {
            "\(strings.atMost) "
            if let monthly = limits.monthly { viewer.credits(monthly) + HTML(" \(strings.aMonth)") }
            if limits.monthly != nil, limits.daily != nil { " · " }
            if let daily = limits.daily { viewer.credits(daily) + HTML(" \(strings.aDay)") }
        }
    }

    // MARK: A new key

    /// Makes the fields of a form that is shown for the first time: all that a key may do is ticked.
    static func blank() -> FormInput {
        var fields = ["form_id": KeyFormID.make().description]
        for scope in APIKeys.knownScopes { fields[field(of: scope)] = "on" }
        return FormInput(fields)
    }

    /// The name of the box of a scope.
    static func field(of scope: String) -> String { "scope_\(scope)" }

    func create(_ sent: FormInput, status: Int = 200) -> Response {
        let form = Form(viewer, sent)
        let scopes = ScopeStrings(language: viewer.language)
        return viewer.show(.keys, strings.create, status: status) {
            div(.class("columns")) {
                panel {
                    form(Self.new, hidden: ["form_id": sent["form_id"]]) {
                        form.field("name", strings.name, hint: strings.nameHint)
                        form.group("scopes", strings.may) {
                            for scope in APIKeys.knownScopes.sorted() { form.box(Self.field(of: scope), scopes.name(scope)) }
                        }
                        form.field("last_day", strings.lastDay, .date, hint: strings.lastDayHint, isOptional: true)
                        form.field("limit", strings.monthlyLimit, .amount, hint: strings.limitHint, isOptional: true)
                        form.field("daily_limit", strings.dailyLimit, .amount, isOptional: true)
                        div(.class("buttons")) {
                            submit(strings.create)
                            linkButton(viewer.cancel, SettingsTab.keys.link)
                        }
                    }
                }
            }
        }
    }

    /// Shows the text of a key, this once.
    func created(_ record: APIKeyRecord, key: String, publicURL: String) -> Response {
        viewer.show(.keys, strings.createdTitle) {
            notice(.warning) { p { strings.copyNow } }
            panel(record.name) {
                codeDisplay(key)
                if let path = Self.example(record.scopes) {
                    p { strings.example }
                    codeDisplay("curl \(publicURL)\(path) -H \"Authorization: Bearer \(key)\"")
                }
                linkButton(strings.copied, SettingsTab.keys.link, .primary)
            }
        }
    }

    /// Returns a path that a key may read, and that costs nothing. Nil without one.
    private static func example(_ scopes: [String]) -> String? {
        let paths = [("models", "/v1/models"), ("credits", "/v1/credits"), ("profile", "/api/auth/me")]
        return paths.first { scopes.contains($0.0) }?.1
    }

    func createdBefore(_ key: APIKeyRecord) -> Response {
        viewer.show(Page(strings.createdBeforeTitle, status: 409, place: .settings)) {
            panel {
                h1 { strings.createdBeforeTitle }
                facts([(strings.name, HTML(key.name)), (strings.key, code { Self.masked(key) })])
                p { strings.createdBefore }
                linkButton(strings.createAnother, Self.new, .primary)
                linkButton(strings.revokeThis, Self.link(key), .danger)
            }
        }
    }

    // MARK: The end of a key

    func confirmRevocation(of key: APIKeyRecord) -> Response {
        viewer.confirm(
            strings.revokeTitle, place: .settings, act: strings.revokeThis, at: Self.link(key), back: SettingsTab.keys.link
        ) {
            facts([
                (strings.name, HTML(key.name)), (strings.key, code { Self.masked(key) }),
                (strings.used, key.lastUsedAt.map(viewer.ago) ?? HTML(strings.never)),
            ])
            p { strings.revokeIntro }
        }
    }
}
