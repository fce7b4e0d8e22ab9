import AMQP
import Contracts
import Messaging
import Postgres
import Telemetry
import Values

// The durable commands of an account that stayed locked are rows of `dead_letter` in state
// `replay`, with the account as ordering key. They are decided in their order, before later
// commands of the account (``LedgerStore/commitInLine(of:lockWithin:rowsMax:take:)``).

/// A row that waits for its decision.
struct KeptCommand: Sendable {
    let messageID: MessageID
    let consumer: String
    /// The command of the row, or the flaw of a row that this version cannot read.
    let command: Result<Command, Malformed>

    /// The flaw that parks the row; nil for a row with a command.
    var flaw: RowFlaw? {
        guard case .failure(let error) = command else { return nil }
        return RowFlaw(errorClass: "malformed", reason: "\(error)")
    }
}

/// The reason why a row waits for an operator.
struct RowFlaw: Sendable {
    let errorClass: String
    let reason: String
}

/// A message, or an item of one, that becomes a row.
struct RowToKeep: Sendable {
    let message: DurableMessage
    /// The account in whose order the row is decided. Nil: no command can be read from it.
    let account: AccountID?
    /// `replay`: the ledger decides it. `parked`: an operator does.
    let state: String
    let errorClass: String
    let reason: String
}

/// Writes messages as rows, in their order.
///
/// A message that is delivered twice finds its row. The delivery replaces a discarded row, and with
/// state `replay` also a parked one: the operator published the message again. Any other row stays as
/// it is.
struct KeepRows: Statement {
    let rows: [RowToKeep]

    init(rows: [RowToKeep]) {
        // A statement may change a row once only.
        var seen: Set<[String]> = []
        self.rows = rows.filter { seen.insert([$0.message.rowID.description, $0.message.queue]).inserted }
    }

    static let sql = """
        INSERT INTO dead_letter (
            message_id, consumer, exchange, routing_key, type, source, conversation_id, traceparent, body, ordering_key, attempts,
            error_class, error_message, state, next_attempt_at)
        SELECT
            m.id, m.queue, m.exchange, m.routing_key, m.type, m.source, m.conversation, m.traceparent, m.body, m.account, 1,
            m.class, m.reason, m.state, CASE m.state WHEN 'replay' THEN clock_timestamp() END
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            WITH ORDINALITY AS m (
                id, queue, exchange, routing_key, type, source, conversation, traceparent, body, account, class, reason, state, n)
        ORDER BY m.n
        ON CONFLICT (message_id, consumer) DO UPDATE
        SET type = excluded.type, body = excluded.body, ordering_key = excluded.ordering_key, seq = DEFAULT,
            error_class = excluded.error_class, error_message = excluded.error_message, state = excluded.state,
            next_attempt_at = excluded.next_attempt_at, last_failed_at = clock_timestamp()
        WHERE dead_letter.state = 'discarded' OR dead_letter.state = 'parked' AND excluded.state = 'replay'
        """

    func bind(_ parameters: inout Parameters) {
        let deliveries = rows.map(\.message.delivery)
        let ids = rows.map(\.message.rowID)
        parameters.append(ids)
        parameters.append(rows.map(\.message.queue))
        parameters.append(deliveries.map(\.exchange))
        parameters.append(deliveries.map(\.routingKey))
        parameters.append(deliveries.map(\.properties.type))
        parameters.append(deliveries.map(\.properties.userID))
        parameters.append(zip(deliveries, ids).map { $0.conversation ?? ConversationID(rawValue: $1.rawValue) })
        parameters.append(deliveries.map { $0.trace?.traceparent })
        parameters.append(rows.map(\.message.body))
        parameters.append(rows.map(\.account?.description))
        parameters.append(rows.map(\.errorClass))
        parameters.append(rows.map { text($0.reason) })
        parameters.append(rows.map(\.state))
    }
}

/// Reads at most 100 accounts that have commands in rows, as the rows name them.
struct ReadSomeAccountsKept: Statement {
    let after: String

    static let sql = """
        SELECT DISTINCT ordering_key
        FROM dead_letter
        WHERE state = 'replay' AND ordering_key > $1
        ORDER BY ordering_key
        LIMIT 100
        """

    func bind(_ parameters: inout Parameters) { parameters.append(after) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> String { try row.next() }
}

/// Reads the oldest commands that an account has in rows.
struct ReadKeptCommands: Statement {
    let account: AccountID
    let limit: Int

    init(of account: AccountID, limit: Int) { (self.account, self.limit) = (account, limit) }

    static let sql = """
        SELECT message_id, consumer, ordering_key, type, body, traceparent, conversation_id
        FROM dead_letter
        WHERE state = 'replay' AND ordering_key = $1
        ORDER BY seq
        LIMIT $2
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(account.description)
        parameters.append(limit)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> KeptCommand {
        let (id, consumer): (MessageID, String) = try (row.next(), row.next())
        let (key, type): (String, String) = try (row.next(), row.next())
        let body: [UInt8] = try row.next()
        let trace = try row.next(String?.self).flatMap { TraceContext(traceparent: $0) }
        let origin = try CommandOrigin(trace: trace, conversation: row.next())
        let command = Result { () throws(Malformed) in
            let command = try Command.one(type, body, origin)
            // The lock of one account protects no other account.
            guard command.account.description == key else {
                throw .content(MessageError(field: "account_id", expected: "the account of the row's ordering_key"))
            }
            return command
        }
        return KeptCommand(messageID: id, consumer: consumer, command: command)
    }
}

/// Ends rows: resolves decided ones, parks the others for an operator.
struct EndKeptCommands: Statement {
    let rows: [(row: KeptCommand, flaw: RowFlaw?)]

    init(_ rows: [(KeptCommand, RowFlaw?)]) { self.rows = rows }

    static let sql = """
        UPDATE dead_letter AS d
        SET state = CASE WHEN m.class IS NULL THEN 'resolved' ELSE 'parked' END, next_attempt_at = NULL,
            error_class = coalesce(m.class, d.error_class), error_message = coalesce(m.reason, d.error_message),
            last_failed_at = CASE WHEN m.class IS NULL THEN d.last_failed_at ELSE clock_timestamp() END
        FROM unnest($1, $2, $3, $4) AS m (id, consumer, class, reason)
        WHERE d.message_id = m.id AND d.consumer = m.consumer AND d.state = 'replay'
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(rows.map(\.row.messageID))
        parameters.append(rows.map(\.row.consumer))
        parameters.append(rows.map(\.flaw?.errorClass))
        parameters.append(rows.map { $0.flaw.map { text($0.reason) } })
    }
}

/// Returns a reason as a column of type text takes it.
private func text(_ reason: String) -> String { String(reason.replacing("\0", with: "").prefix(1_000)) }

extension LedgerStore {
    /// Commits durable commands as rows.
    package func keep(_ commands: [WaitingCommand]) async throws {
        try await keep(
            commands.compactMap { waiting in
                waiting.message.map {
                    RowToKeep(
                        message: $0, account: waiting.command.account, state: "replay", errorClass: "account_locked",
                        reason: "the account was locked for too long; tried again in order")
                }
            })
    }

    /// Commits rows.
    func keep(_ rows: [RowToKeep]) async throws {
        try await pool.transaction { transaction in
            _ = try await transaction.commit(BeginBatch(lockWithin: Self.lockWithin), KeepRows(rows: rows))
        }
    }

    /// - Returns: at most 100 ordering keys after `name`, in ascending order.
    func someAccountsKept(after name: String) async throws -> [String] { try await pool.query(ReadSomeAccountsKept(after: name)) }

    func park(_ command: KeptCommand, because error: PostgresError) async throws {
        _ = try await pool.execute(EndKeptCommands([(command, RowFlaw(errorClass: "not_written", reason: "\(error)"))]))
    }
}
