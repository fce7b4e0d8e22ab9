import AMQP
import Contracts
import EventLoop
import Jobs
import LedgerCore
import Messaging
import Postgres
import Telemetry
import Values

/// Asks for the expiry of overdue holds. Ends expired lots of accounts that no other command
/// touches.
///
/// A hold's expiry is a message in the queue of its account's settlements and reports
/// (``ExpireHold``), so earlier messages are decided first. Every ledger sweeps; duplicates are
/// harmless. Without a broker no hold expires.
final class Sweeper: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let runner: BatchRunner
    private let publisher: AMQPPublisher
    private let log: Logger
    /// The holds that were asked for lately: the time of the question, and the time at which the
    /// hold became overdue.
    private var askedHolds: [ChargeID: (at: MonotonicInstant, due: Instant)] = [:]
    private var askedAccounts: [AccountID: MonotonicInstant] = [:]
    /// The expiry time at which the next look begins. Earlier holds were looked at.
    private var mark = Instant(microseconds: 0)
    private var looksFromStart = MonotonicInstant.current()

    /// The most holds, and the most accounts, of one sweep.
    static let holdsMax = 500
    static let accountsMax = 50
    /// The shortest time between two questions for the same hold or account.
    static let askEvery = Duration.seconds(10)
    /// The part of the time before the last look that the next look repeats: a batch that was
    /// running then may be committed now.
    static let overlap = Duration.seconds(120)
    /// The time between two looks at all holds. The looks in between skip dead rows of ended holds.
    /// A long snapshot keeps such rows from being vacuumed.
    static let fromStartEvery = Duration.seconds(600)

    init(store: LedgerStore, runner: BatchRunner, publisher: AMQPPublisher, log: Logger) {
        (self.store, self.runner, self.publisher, self.log) = (store, runner, publisher, log)
    }

    func job(every interval: Duration) -> Job {
        Job("expiry sweep", every: interval) {
            try await self.sweepHolds()
            try await self.sweepLots()
        }
    }

    /// Publishes an expiry for each hold that is due.
    func sweepHolds() async throws {
        guard publisher.isConnected else { return }
        let now = MonotonicInstant.current()
        askedHolds = askedHolds.filter { now - $0.value.at < Self.askEvery }
        if looksFromStart <= now { (mark, looksFromStart) = (Instant(microseconds: 0), now + Self.fromStartEvery) }
        let (clock, due) = try await store.pool.pipeline(
            ReadClock(), ReadOverdueHolds(since: mark, except: Array(askedHolds.keys), limit: Self.holdsMax))
        for hold in due {
            let message = ExpireHold(chargeID: hold.charge, accountID: hold.account, expiresAt: hold.due)
            do {
                try publisher.send(OutgoingMessage(message, from: log.service), within: .seconds(5))
            } catch {
                return log.warning("expiry request failed", error: error)
            }
            askedHolds[hold.charge] = (now, hold.due)
        }
        // The mark does not pass a hold that was asked for: the hold stays overdue until its expiry
        // is decided.
        let open = askedHolds.values.map(\.due).min()
        if let clock = clock.first { mark = max(mark, min(open ?? clock, clock + (Duration.zero - Self.overlap))) }
    }

    /// Ends the expired lots of some accounts, except credits that open holds reserve.
    func sweepLots() async throws {
        let now = MonotonicInstant.current()
        askedAccounts = askedAccounts.filter { now - $0.value < Self.askEvery }
        let some = try await store.pool.query(ReadAccountsWithExpiredLots(except: Array(askedAccounts.keys), limit: Self.holdsMax))
        // Other ledgers sweep too. With a random choice they seldom take the same accounts.
        let due = some.shuffled().prefix(Self.accountsMax)
        for account in due { askedAccounts[account] = now }
        runner.submit(
            due.map { account in
                WaitingCommand(Command(id: .make(), account: account, action: .expireLots), deadline: now + Self.askEvery) { [log] in
                    guard case .failed(let error) = $0 else { return }
                    log.error("lot expiry failed", ["account.id": .describing(account)], error: error)
                }
            })
    }
}

/// Reads overdue holds, the oldest first.
struct ReadOverdueHolds: Statement {
    let since: Instant
    let except: [ChargeID]
    let limit: Int

    static let sql = """
        SELECT charge_id, account_id, expires_at
        FROM open_hold
        WHERE expires_at >= $1 AND expires_at <= statement_timestamp() AND charge_id <> ALL($2::uuid[])
        ORDER BY expires_at
        LIMIT $3
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(since)
        parameters.append(except)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (charge: ChargeID, account: AccountID, due: Instant) {
        try (row.next(), row.next(), row.next())
    }
}

/// Reads accounts that may have expired lots, except accounts whose credits are all reserved by
/// open holds.
///
/// An account without credits and holds can keep a past `lots_expire_at`. One expiry of its lots
/// clears the column, and the account leaves the range of the index.
struct ReadAccountsWithExpiredLots: Statement {
    typealias Output = AccountID
    let except: [AccountID]
    let limit: Int

    static let sql = """
        SELECT account_id
        FROM account
        WHERE lots_expire_at <= statement_timestamp() AND (held = 0 OR posted > held) AND account_id <> ALL($1::uuid[])
        ORDER BY lots_expire_at
        LIMIT $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(except)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
}
