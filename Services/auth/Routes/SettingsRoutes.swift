import HTTP
import Identity
import Values
import Web

/// The settings of a user: the profile and the address.
extension Routes {
    /// The facts that all pages of the settings show.
    struct Settings: Sendable {
        let viewer: Viewer
        let profile: Accounts.Profile
    }

    func settings(_ request: Request, _ caller: Principal) async throws -> Settings {
        async let shown = viewer(request, caller)
        guard let profile = try await accounts.profile(of: caller.userID) else { throw Problem.invalidAPIKey }
        var viewer = await shown
        // The zone of the caller is up to a minute old.
        viewer.timeZone = profile.user.preferences.timeZone
        return Settings(viewer: viewer, profile: profile)
    }

    /// `done=saved|mail|address`.
    func showProfile(_ request: Request, caller: Principal) async throws -> Response {
        try await profilePage(request, caller).show(done: request.query["done"])
    }

    private func profilePage(_ request: Request, _ caller: Principal) async throws -> ProfilePage {
        async let zones = accounts.timeZones()
        let settings = try await settings(request, caller)
        return ProfilePage(viewer: settings.viewer, user: settings.profile.user, zones: try await zones)
    }

    /// A form {full_name?, language, time_zone, low_balance_mail?} → 303. The browser keeps the language, too.
    func submitProfile(_ request: Request, caller: Principal) async throws -> Response {
        var sent = try FormInput(request)
        let viewer = site.viewer(request, caller)
        let strings = ProfileStrings(language: viewer.language)
        let name = sent.fullName("full_name", FieldStrings(language: viewer.language))
        let language = Language(rawValue: sent["language"])
        if language == nil { sent.refuse("language", strings.unknownLocale) }
        if sent.isFine, let language {
            let (zone, lowBalanceMail) = (sent["time_zone"], sent.isOn("low_balance_mail"))
            let outcome = try await accounts.changeProfile(of: caller.userID, client: ClientInfo(request)) { user in
                user.fullName = name
                (user.preferences.locale, user.preferences.timeZone) = (language.rawValue, zone)
                user.preferences.lowBalanceMail = lowBalanceMail
            }
            switch outcome {
            case .changed: return remember(language, in: viewer.seeOther(SettingsTab.profile.link.with("done", "saved")))
            case .unknown: throw Problem.invalidAPIKey
            case .unknownTimeZone: sent.refuse("time_zone", strings.unknownTimeZone)
            }
        }
        return try await profilePage(request, caller).show(sent, status: 400)
    }

    // MARK: The address

    func showEmail(_ request: Request, caller: Principal) async throws -> Response {
        try await emailPage(request, caller).show()
    }

    private func emailPage(_ request: Request, _ caller: Principal) async throws -> EmailPage {
        async let hasPassword = accounts.hasPassword(caller.userID)
        let settings = try await settings(request, caller)
        return EmailPage(
            viewer: settings.viewer, user: settings.profile.user, hasPassword: try await hasPassword)
    }

    /// The longest time since the sign-in of a session that changes the address of an account without a password.
    private static let addressFreshness: Duration = .seconds(900)

    /// A form {action: change, email, password?}, or {action: resend} → 303. A user without a password must have signed in just now.
    func submitEmail(_ request: Request, caller: Principal) async throws -> Response {
        let sent = try FormInput(request)
        switch sent["action"] {
        case "change": return try await changeAddress(sent, request, caller)
        case "resend": break
        default: throw Problem.invalidRequest("`action` must be change or resend.", param: "action")
        }
        let viewer = site.viewer(request, caller)
        switch try await accounts.resendVerification(to: caller.userID, client: ClientInfo(request)) {
        case .accepted: return viewer.seeOther(SettingsTab.profile.link.with("done", "mail"))
        case .throttled(let wait):
            let failure = FieldStrings(language: viewer.language).tooManyMails(wait: viewer.length(wait))
            return try await emailPage(request, caller).show(failure: failure, status: 429).retry(after: wait)
        }
    }

    private func changeAddress(_ input: FormInput, _ request: Request, _ caller: Principal) async throws -> Response {
        var sent = input
        let page = try await emailPage(request, caller)
        let viewer = page.viewer
        let (strings, passwords) = (ProfileStrings(language: viewer.language), PasswordStrings(language: viewer.language))
        let email = sent.email("email", missing: strings.newAddressMissing, FieldStrings(language: viewer.language))
        if email?.text == page.user.email { sent.refuse("email", strings.sameAddress) }
        if page.hasPassword {
            if sent["password"].isEmpty { sent.refuse("password", passwords.missing) }
            if sent["password"].utf8.count > PasswordPolicy.bytesMax { sent.refuse("password", passwords.wrong) }
        } else {
            try caller.check(.session(freshWithin: Self.addressFreshness), now: accounts.clock())
        }
        guard sent.isFine, let email else { return page.show(sent, status: 400) }
        let proof: Accounts.OwnershipProof = page.hasPassword ? .password(sent["password"]) : .recentSignIn
        switch try await accounts.changeEmail(to: email, proof: proof, of: caller.userID, client: ClientInfo(request)) {
        case .accepted: return viewer.seeOther(SettingsTab.profile.link.with("done", "address"))
        case .wrongPassword:
            sent.refuse("password", passwords.wrong)
            return page.show(sent, status: 400)
        case .noPassword: throw Self.noPassword
        case .emailTaken:
            sent.refuse("email", strings.addressTaken)
            return page.show(sent, status: 409)
        case .throttled(let wait):
            sent.refuse("password", passwords.tooMany(wait: viewer.length(wait)))
            return page.show(sent, status: 429).retry(after: wait)
        }
    }
}
