import HTTP
import Web

/// The providers that a user signs in with, and those that it can connect.
struct ConnectedProviders {
    let viewer: Viewer
    let providers: OpenIDProviders
    /// The oldest first.
    let identities: [ExternalIdentity]
    private var strings: OpenIDStrings { OpenIDStrings(language: viewer.language) }

    /// Nothing where the gateway has no provider, and the user none of earlier times.
    var html: HTML {
        if providers.all.isEmpty && identities.isEmpty { return .empty }
        return panel(strings.providers) {
            p(.class("muted")) { strings.providersUse }
            rows(
                identities.map { (connected($0), disconnect($0)) }
                    + unconnected.map { provider in (p { strong { provider.name } }, connect(provider)) })
        }
    }

    private var unconnected: [OpenIDProvider] {
        providers.all.filter { provider in !identities.contains { $0.issuer == provider.issuer } }
    }

    private func name(_ identity: ExternalIdentity) -> String { providers[identity.providerID]?.name ?? identity.providerID }

    private func connected(_ identity: ExternalIdentity) -> HTML {
        p { strong { name(identity) } }
            + p(.class("muted")) {
                "\(identity.email ?? identity.subject) · \(strings.connected) "
                viewer.day(identity.createdAt)
                " · \(strings.lastUsed) "
                viewer.ago(identity.lastUsedAt)
            }
    }

    private func disconnect(_ identity: ExternalIdentity) -> HTML {
        linkButton(strings.unlink, link(identity), of: "\(name(identity)) \(identity.email ?? identity.subject)")
    }

    private func link(_ identity: ExternalIdentity) -> Link {
        Link("/settings/sign-in/unlink").with("issuer", identity.issuer).with("subject", identity.subject)
    }

    /// Asks once before an identity is taken from the user.
    func confirmUnlink(of identity: ExternalIdentity) -> Response {
        let account = "\(name(identity)) (\(identity.email ?? identity.subject))"
        return viewer.confirm(
            strings.unlinkTitle(name(identity)), place: .settings, act: strings.unlink, at: link(identity), back: SettingsTab.signIn.link
        ) {
            p { strings.unlinkQuestion(account) }
        }
    }

    private func connect(_ provider: OpenIDProvider) -> HTML {
        linkButton(strings.link, provider.start.with("link", "1"), of: provider.name)
    }
}
