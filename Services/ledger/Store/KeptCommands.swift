import AMQP
import Messaging
import Postgres
import Telemetry
import Values

// The durable commands of an account that stayed locked are rows of `dead_letter` in state
// `replay`, with the account as ordering key. They are decided in their order, before later
// commands of the account (``LedgerStore/commitInLine(of:lockWithin:rowsMax:take:)``).

/// A command that waits as a row.
struct KeptCommand: Sendable {
    let messageID: MessageID
    let consumer: String
    let command: Command
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

/// Writes messages as rows, in their order. A row that exists already stays as it is, because its
/// message was delivered twice.
struct KeepRows: Statement {
    let rows: [RowToKeep]

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
        ON CONFLICT DO NOTHING
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
        parameters.append(rows.map { String($0.reason.replacing("\0", with: "").prefix(1_000)) })
        parameters.append(rows.map(\.state))
    }
}

/// Reads which of these accounts have commands in rows.
struct ReadAccountsKept: Statement {
    let among: [AccountID]

    static let sql = """
        SELECT DISTINCT ordering_key::uuid
        FROM dead_letter
        WHERE state = 'replay' AND ordering_key = ANY($1::text[])
        """

    func bind(_ parameters: inout Parameters) { parameters.append(among.map(\.description)) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> AccountID { try row.next() }
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
        SELECT message_id, consumer, type, body, traceparent, conversation_id
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
        let (type, body): (String, [UInt8]) = try (row.next(), row.next())
        let trace = try row.next(String?.self).flatMap { TraceContext(traceparent: $0) }
        let origin = try CommandOrigin(trace: trace, conversation: row.next())
        do throws(Malformed) {
            return KeptCommand(messageID: id, consumer: consumer, command: try .one(type, body, origin))
        } catch {
            throw PostgresError(.typeMismatch, "the dead letter \(id) holds no command: \(error)")
        }
    }
}

/// Ends rows in the transaction that decides their commands. A row whose command is a mistake is
/// parked for an operator.
struct ResolveKeptCommands: Statement {
    let decided: [(command: KeptCommand, isMistake: Bool)]

    init(_ decided: [(KeptCommand, Bool)]) { self.decided = decided }

    static let sql = """
        UPDATE dead_letter AS d
        SET state = CASE WHEN m.is_mistake THEN 'parked' ELSE 'resolved' END, next_attempt_at = NULL,
            error_class = CASE WHEN m.is_mistake THEN 'refused' ELSE d.error_class END
        FROM unnest($1, $2, $3) AS m (id, consumer, is_mistake)
        WHERE d.message_id = m.id AND d.consumer = m.consumer
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(decided.map(\.command.messageID))
        parameters.append(decided.map(\.command.consumer))
        parameters.append(decided.map(\.isMistake))
    }
}

/// Parks a row for an operator, because its command cannot be written.
struct ParkKeptCommand: Statement {
    let command: KeptCommand
    let reason: String

    static let sql = """
        UPDATE dead_letter
        SET state = 'parked', next_attempt_at = NULL, error_class = 'not_written', error_message = $2,
            last_failed_at = clock_timestamp()
        WHERE message_id = $1 AND consumer = $3 AND state = 'replay'
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(command.messageID)
        parameters.append(String(reason.prefix(1_000)))
        parameters.append(command.consumer)
    }
}

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
        _ = try await pool.execute(ParkKeptCommand(command: command, reason: "\(error)"))
    }
}

extension Decision {
    /// The reason of a mistake, for the operator who reads its dead letter.
    package var mistake: String {
        switch self {
        case .conflict(let entry): "the id has another command: \(entry.kind), account \(entry.account)"
        case .invalid(let flaw): flaw.rawValue
        case .decided, .duplicate, .refused, .awaitingFunds, .undecided, .noted: ""
        }
    }

    /// True if the sender made a mistake, so that no repetition can succeed.
    package var isMistake: Bool {
        switch self {
        case .conflict, .invalid: true
        case .decided, .duplicate, .refused, .awaitingFunds, .undecided, .noted: false
        }
    }
}
