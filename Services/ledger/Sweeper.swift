import AMQP
import Contracts
import EventLoop
import Outbox
import Postgres
import Telemetry

/// Asks for the expiry of overdue holds, and for the end of expired lots that no command came by to end.
///
/// A hold's expiry is a message in the queue of its account's settlements and reports (``ExpireHold``), so that they are decided before
/// it. Any ledger may ask; duplicates are harmless. Without a broker no hold expires.
final class Sweeper: @unchecked Sendable {
    // @unchecked Sendable: confined to the store's loop.
    private let store: LedgerStore
    private let runner: BatchRunner
    private let publisher: AMQPPublisher
    private let interval: Duration
    private let log: Logger
    private var isFailing = false
    /// When each hold and each account was asked for last, and when the hold was due.
    private var askedHolds: [ChargeID: (at: MonotonicInstant, due: Instant)] = [:]
    private var askedAccounts: [AccountID: MonotonicInstant] = [:]
    /// Holds that expire before were looked at.
    private var mark = Instant(microseconds: 0)
    private var looksFromStart = MonotonicInstant.current()
    private let asked = Metrics.shared.counter("ledger_expiries_asked_total", help: "Expiries of holds that the sweep asked for.")

    /// Of one sweep.
    static let holdsMax = 500
    static let accountsMax = 50
    /// A hold or an account is asked for at most once in this time.
    static let askEvery = Duration.seconds(10)
    /// A look begins this much before the last one: a batch that took its time then may be committed now.
    static let overlap = Duration.seconds(120)
    /// The time between two looks at all holds. In between, dead rows of ended holds, which a long snapshot keeps from being vacuumed, are
    /// not read.
    static let fromStartEvery = Duration.seconds(600)

    init(store: LedgerStore, runner: BatchRunner, publisher: AMQPPublisher, interval: Duration, log: Logger) {
        (self.store, self.runner, self.publisher, self.interval, self.log) = (store, runner, publisher, interval, log)
    }

    /// Sweeps until cancelled.
    func run() async throws {
        while true {
            do {
                try await sweepHolds()
                try await sweepLots()
                isFailing = false
            } catch let error as PostgresError {
                if !isFailing { log.warning("sweep failed", error: error) }
                isFailing = true
            }
            try await store.pool.loop.sleep(for: interval)
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
            let message = ExpireHold(chargeID: hold.charge, accountID: hold.account)
            do {
                try publisher.send(OutgoingMessage(message, from: log.service), within: .seconds(5))
            } catch {
                return log.warning("expiry not asked for", error: error)
            }
            askedHolds[hold.charge] = (now, hold.due)
        }
        asked.add(Int64(due.count))
        // A hold that was asked for stays overdue until its expiry is decided.
        let open = askedHolds.values.map(\.due).min()
        if let clock = clock.first { mark = max(mark, min(open ?? clock, clock + (Duration.zero - Self.overlap))) }
    }

    /// Has the expired lots of some accounts ended, unless running holds keep them.
    func sweepLots() async throws {
        let now = MonotonicInstant.current()
        askedAccounts = askedAccounts.filter { now - $0.value < Self.askEvery }
        let some = try await store.pool.query(ReadAccountsWithExpiredLots(except: Array(askedAccounts.keys), limit: Self.holdsMax))
        // Other ledgers sweep too: few of what each takes by lot are the same.
        let due = some.shuffled().prefix(Self.accountsMax)
        for account in due { askedAccounts[account] = now }
        runner.submit(
            due.map { account in
                WaitingCommand(Command(id: .make(), account: account, action: .expireLots), deadline: now + Self.askEvery) { [log] in
                    guard case .failed(let error) = $0 else { return }
                    log.error("expired lots cannot be ended", ["account.id": .describing(account)], error: error)
                }
            })
    }
}

extension OutgoingMessage {
    /// A message that begins a conversation of its own.
    fileprivate init<M: Message>(_ message: M, from service: String) {
        let id = MessageID.make()
        let envelope = Envelope(
            messageID: id, conversationID: ConversationID(rawValue: id.rawValue), causationID: nil, type: M.name, sender: "", trace: nil,
            sentAt: .now())
        self.init(
            exchange: M.exchange.name, routingKey: message.routingKey, body: message.encoded(),
            properties: envelope.properties(from: service))
    }
}

/// Holds whose time is over, the oldest first.
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

/// Accounts whose lots have expired and are not kept by running holds.
struct ReadAccountsWithExpiredLots: Statement {
    typealias Output = AccountID
    let except: [AccountID]
    let limit: Int

    static let sql = """
        SELECT account_id
        FROM account
        WHERE lots_expire_at <= statement_timestamp() AND posted > held AND account_id <> ALL($1::uuid[])
        ORDER BY lots_expire_at
        LIMIT $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(except)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
}
