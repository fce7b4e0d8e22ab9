import Values

/// When signing keys are made, used, kept for verification and forgotten. A key is published long before it signs, and long after
/// it has signed its last token, so that no verifier meets a key it has not heard of.
struct SigningKeySchedule: Sendable {
    enum State: String, Sendable, CaseIterable { case standby, current, retired }

    struct Key: Sendable, Equatable {
        var id: String
        var state: State
        /// Since when in this state.
        var since: Instant
    }

    enum Step: Sendable, Equatable {
        case make(State)
        /// The standby key signs from now on; the current one only verifies.
        case promote(String)
        case delete(String)
    }

    static let currentFor: Duration = .seconds(90 * 86_400)
    /// Verifiers may cache the published set this long (Cache-Control of jwks.json).
    static let publishedFor: Duration = .seconds(600)

    /// A key is published this long before it signs.
    static let standbyFor = publishedFor + publishedFor

    let tokenLife: Duration

    /// A retired key's last token is dead, and every cache that might still ask has been refreshed.
    private var retiredFor: Duration { tokenLife + .seconds(30) + Self.publishedFor + .seconds(300) }

    /// Returns the steps that are due now, in order. The list is almost always empty.
    func steps(_ keys: [Key], now: Instant) -> [Step] {
        let current = keys.first { $0.state == .current }
        let standby = keys.first { $0.state == .standby }
        var steps: [Step] = keys.filter { $0.state == .retired && now >= $0.since + retiredFor }.map { .delete($0.id) }
        guard let current else {
            // The very first start, or an operator deleted the key: there is no time to publish first.
            return steps + (standby.map { [.promote($0.id), .make(.standby)] } ?? [.make(.current), .make(.standby)])
        }
        guard let standby else { return steps + [.make(.standby)] }
        if now >= current.since + Self.currentFor, now >= standby.since + Self.standbyFor {
            steps += [.promote(standby.id), .make(.standby)]
        }
        return steps
    }
}
