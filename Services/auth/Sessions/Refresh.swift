import Postgres
import Telemetry
import Values

extension Sessions {
    enum RefreshOutcome: Sendable {
        case refreshed(Issuer.Tokens)
        /// No token of ours, whatever is wrong with it.
        case invalid
        /// The session has ended. It ends here if a second party has the token.
        case ended
        case deactivated
        /// The scopes asked for are not all those of the session.
        case wideScope
    }

    /// Gives the next tokens for a refresh token. For thirty seconds the same token gets the same
    /// successor.
    /// - Parameters:
    ///   - clientID: if given, the token of another client is invalid.
    ///   - scopes: if given, they must be of the session's (RFC 6749 §6). The session keeps its own.
    func refresh(
        _ text: String, of clientID: String? = nil, scopes: Set<String>? = nil, client: ClientInfo
    ) async throws -> RefreshOutcome {
        guard let token = RefreshToken(text) else { return refused(.invalid) }
        let now = clock()
        let step: Step = try await pool.transaction { transaction in
            let (_, found) = try await transaction.pipeline(LimitLockWait(), LockSession(id: token.sessionID))
            guard let row = found.first, clientID.map({ $0 == row.session.clientID }) ?? true else { return .refuse(.invalid) }
            if let scopes, !row.session.covers(scopes) { return .refuse(.wideScope) }
            switch issuer.decide(token, row.session, now: now) {
            case .refuse: return .refuse(.invalid)
            case .over: return .refuse(.ended)
            case .repeatSuccessor: return Step(issuer.grant(row.user, row.session, now: now))
            case .rotate:
                let next = row.session.rotated(now: now)
                let step = Step(issuer.grant(row.user, next, now: now))
                if case .sign = step { try await transaction.commit(RotateSession(session: next)) }
                return step
            case .reuse:
                try await end(row.session.id, as: .refreshReuse, client: client, now: now, in: transaction)
                return .reuse
            }
        }
        switch step {
        case .refuse(let outcome): return refused(outcome)
        case .reuse:
            metrics.refreshesReused.add()
            log.warning("refresh token reused: session ended", ["session.id": .describing(token.sessionID)])
            return .ended
        case .sign(let grant):
            metrics.refreshesSucceeded.add()
            return .refreshed(try issuer.sign(grant))
        }
    }

    /// The result of the transaction.
    private enum Step {
        case refuse(RefreshOutcome)
        case reuse
        case sign(Issuer.Grant)

        init(_ grant: Result<Issuer.Grant, MintGate.Refusal>) {
            self =
                switch grant {
                case .success(let grant): .sign(grant)
                case .failure(.userDeactivated): .refuse(.deactivated)
                case .failure: .refuse(.ended)
                }
        }
    }

    private func refused(_ outcome: RefreshOutcome) -> RefreshOutcome {
        metrics.refreshesRefused.add()
        return outcome
    }
}

/// A locked session makes the next one wait two seconds, then 503: a refresh must not hang.
struct LimitLockWait: Statement {
    static let sql = "SELECT set_config('lock_timeout', '2s', true)"
}
