import Identity
import Web

/// A session in a list, by a name that its user knows.
struct SessionEntry {
    let viewer: Viewer
    let clients: OAuthClients
    let session: LiveSessions.Output
    private var strings: SessionStrings { SessionStrings(language: viewer.language) }

    var isCurrent: Bool { session.id == viewer.principal?.sessionID }

    var name: String {
        if isNamedByProgram { return strings.program(session.userAgent) ?? strings.unknown }
        let client = clients[session.clientID]?.name ?? session.clientID
        return session.deviceName.map { "\(client) · \($0)" } ?? client
    }

    /// The program of a device. Nil for a session whose name it is.
    var program: String? { isNamedByProgram ? nil : strings.program(session.userAgent) }

    /// True for a sign-in at our pages or our API, which belongs to no client.
    private var isNamedByProgram: Bool {
        [Accounts.order.clientID, Accounts.browserOrder.clientID].contains(session.clientID)
    }

    var html: HTML {
        p {
            strong { span(session.userAgent.map { .title($0) } ?? .none) { name } }
            if isCurrent { HTML(" ") + tag(strings.current) }
        }
            + p(.class("muted")) {
                if let program { "\(program) · " }
                "\(session.ip ?? strings.unknownAddress) · \(strings.lastUsed) "
                viewer.ago(session.lastUsedAt)
                " · \(strings.signedIn) "
                viewer.day(session.signedInAt)
            }
    }
}
