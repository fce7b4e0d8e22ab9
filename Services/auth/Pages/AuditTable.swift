import Values
import Web

/// Rows of the audit trail of a user, in words.
struct AuditTable {
    let viewer: Viewer
    let rows: [AuditRow]
    private var strings: AuditStrings { AuditStrings(language: viewer.language) }

    @HTMLBuilder var html: HTML {
        if rows.isEmpty {
            emptyState(strings.empty)
        } else {
            dataTable(
                strings.caption, [Column(strings.when), Column(strings.what, isLong: true), Column(strings.from, isLong: true)],
                rows.map { [viewer.moment($0.at), what($0), from($0)] }, isStacked: true)
        }
    }

    @HTMLBuilder private func what(_ row: AuditRow) -> HTML {
        let event = AuditRecord.Event(rawValue: row.event)
        event.map(strings.text) ?? row.event
        if row.outcome != "success" {
            " "
            tag(strings.failed, isWarning: true)
        }
        if let subject = row.subject {
            div(.class("small muted")) {
                if let kind = event?.subject { "\(strings.name(of: kind)) " }
                if let email = row.subjectEmail, let user = UserID(subject) {
                    a(AdminUserPages.link(user)) { email }
                } else {
                    code { subject }
                }
            }
        }
    }

    @HTMLBuilder private func from(_ row: AuditRow) -> HTML {
        row.ip ?? strings.gateway
        if let agent = row.userAgent {
            div(.class("small muted"), .title(agent)) { SessionStrings(language: viewer.language).program(agent) ?? agent }
        }
    }
}

extension AuditRecord {
    /// The kind of thing that an event was about.
    enum Subject: Sendable {
        case session
        case provider
        case deviceRequest
        case key
        case administrator
        case user
    }
}

extension AuditRecord.Event {
    fileprivate var subject: AuditRecord.Subject? {
        switch self {
        case .register, .login, .refreshReuse, .logout, .passwordChanged, .sessionEnded, .otherSessionsEnded, .deviceRedeemed,
            .deviceCodeReplayed:
            .session
        case .openIDLogin, .identityLinked, .identityUnlinked: .provider
        case .deviceApproved, .deviceDenied: .deviceRequest
        case .apiKeyCreated, .apiKeyRevoked: .key
        case .userDeactivated, .userReactivated, .userMadeAdmin, .userMadeUser, .userSessionsEnded: .administrator
        case .adminDeactivatedUser, .adminReactivatedUser, .adminMadeAdmin, .adminMadeUser, .adminEndedSessions: .user
        default: nil
        }
    }
}
