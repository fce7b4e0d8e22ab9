import Contracts
import Postgres
import Values

/// Writes the changes that every batch makes, in one statement. It touches no row twice, because
/// the parts of one statement do not see each other.
///
/// Arrays are unnested in select lists. In a FROM each array is stored once more before it is read.
/// That costs a fifth of the time of a batch of one, and a tenth of a batch of 64.
struct WriteBatch: Statement {
    let entries: [Entry]
    let changes: Changes
    let usage: [UsageTableRow]

    init(_ entries: [Entry], _ changes: Changes) {
        (self.entries, self.changes) = (entries, changes)
        usage = UsageRow.of(entries).flatMap(\.tableRows)
    }

    static let entryColumns = ColumnList<Entry>([
        Column(id: "charge_id", \.charge), Column("step", "smallint", \.step.rawValue), Column(id: "account_id", \.account),
        Column("seq", "bigint", \.seq), Column("kind", "smallint", \.kind.rawValue), Column("status", "smallint", \.status.rawValue),
        Column("requested", "bigint", \.requested), Column("amount", "bigint", \.amount), Column("posted_delta", "bigint", \.postedDelta),
        Column("held_delta", "bigint", \.heldDelta), Column("posted_after", "bigint", \.postedAfter),
        Column("held_after", "bigint", \.heldAfter), Column("fingerprint", "bigint", \.fingerprint),
        Column("decided_at", "timestamptz", \.at), Column(nullableID: "grant_id", \.grant),
        Column(nullable: "expires_at", "timestamptz", \.expiresAt), Column(nullable: "trace_id", "uuid", \.context.trace),
        Column(nullableID: "conversation_id", \.context.conversation), Column(nullable: "description", "text", \.context.description),
        Column(nullable: "metadata", "jsonb") { $0.context.metadata.map(JSONText.init) },
    ])

    static let accountColumns = ColumnList<Account>(
        from: entryColumns.next,
        [
            Column(id: "account_id", \.id), Column("posted", "bigint", \.posted), Column("held", "bigint", \.held),
            Column("debt", "bigint", \.debt), Column("seq", "bigint", \.seq),
            Column(nullable: "lots_expire_at", "timestamptz", \.lotsExpireAt), Column("spent_at", "timestamptz", \.spending.at),
            Column("spent_day", "bigint", \.spending.day), Column("spent_month", "bigint", \.spending.month),
            Column("counts_keys", "boolean", \.countsKeys), Column("alerted", "smallint", \.alerted.rawValue),
        ])

    static let holdColumns = ColumnList<OpenHold>(
        from: accountColumns.next,
        [
            Column(id: "charge_id", \.charge), Column(id: "account_id", \.account), Column("amount", "bigint", \.amount),
            Column("used_so_far", "bigint", \.usedSoFar), Column("expires_at", "timestamptz", \.expiresAt),
            Column(nullable: "api_key_id", "text") { $0.key?.rawValue }, Column("is_overdue", "boolean", \.isOverdue),
        ])

    static let usageColumns = ColumnList<UsageTableRow>(
        from: holdColumns.next,
        [
            Column(id: "account_id", \.key.account), Column("quarter", "timestamptz", \.key.quarter), Column("type", "text", \.key.type),
            Column("model", "text", \.key.model), Column("operation", "text", \.key.operation), Column("entries", "bigint", \.entries),
            Column("credits", "bigint", \.credits), Column("overage", "bigint", \.overage), Column("input", "bigint", \.input),
            Column("output", "bigint", \.output), Column("unit", "text", \.unit), Column("quantity", "bigint", \.quantity),
        ])

    /// The positions of the holds that end, and of the numbers of rows that must change.
    private static let (ended, accountCount, endedCount) = (usageColumns.next, usageColumns.next + 1, usageColumns.next + 2)

    static let sql = """
        WITH
            written AS (
                INSERT INTO journal (\(entryColumns.names))
                SELECT \(entryColumns.rows)
            ),
            changed AS (
                UPDATE account
                SET \(accountColumns.assignments(from: "new", except: ["account_id"]))
                FROM (SELECT \(accountColumns.rows)) AS new
                WHERE account.account_id = new.account_id AND account.seq <= new.seq
                RETURNING 1
            ),
            put AS (
                INSERT INTO open_hold (\(holdColumns.names))
                SELECT \(holdColumns.rows)
                ON CONFLICT (charge_id) DO UPDATE
                SET \(holdColumns.assignments(from: "excluded", except: ["charge_id", "account_id", "api_key_id"]))
            ),
            deleted AS (
                DELETE FROM open_hold
                WHERE charge_id = ANY($\(ended)::uuid[])
                RETURNING 1
            ),
            used AS (
                INSERT INTO usage_15m AS sum (\(usageColumns.names))
                SELECT \(usageColumns.rows)
                ON CONFLICT (account_id, quarter, type, model, operation, unit) DO UPDATE
                -- Nothing that is only added up for people may keep a charge from being written.
                SET entries = sum.entries + excluded.entries, credits = saturating_add(sum.credits, excluded.credits),
                    overage = saturating_add(sum.overage, excluded.overage), input = saturating_add(sum.input, excluded.input),
                    output = saturating_add(sum.output, excluded.output), quantity = saturating_add(sum.quantity, excluded.quantity)
            )
        SELECT
            expect_rows('accounts changed', (SELECT count(*) FROM changed), $\(accountCount)),
            expect_rows('holds ended', (SELECT count(*) FROM deleted), $\(endedCount))
        """

    func bind(_ parameters: inout Parameters) {
        Self.entryColumns.bind(entries, &parameters)
        Self.accountColumns.bind(changes.accounts, &parameters)
        Self.holdColumns.bind(changes.holdsPut, &parameters)
        Self.usageColumns.bind(usage, &parameters)
        parameters.append(changes.holdsDeleted)
        parameters.append(changes.accounts.count)
        parameters.append(changes.holdsDeleted.count)
    }

    /// Reports and repetitions can change nothing.
    var isEmpty: Bool { entries.isEmpty && changes.accounts.isEmpty && changes.holdsPut.isEmpty && changes.holdsDeleted.isEmpty }
}

/// A row of `usage_15m`: the entries of a quarter with the units that are columns, or the quantity
/// of another unit.
struct UsageTableRow: Equatable, Sendable {
    let key: UsageRow.Key
    var entries: Int64 = 0
    var credits: Credits = .zero
    var overage: Credits = .zero
    var input: Int64 = 0
    var output: Int64 = 0
    var unit = ""
    var quantity: Int64 = 0
}

extension UsageRow {
    var tableRows: [UsageTableRow] {
        var rows = [UsageTableRow(key: key, entries: entries, credits: credits, overage: overage)]
        for (unit, quantity) in units {
            switch unit {
            case .input: rows[0].input = quantity
            case .output: rows[0].output = quantity
            default: rows.append(UsageTableRow(key: key, unit: unit.rawValue, quantity: quantity))
            }
        }
        return rows
    }
}

/// Writes the changes that few batches make: lots, and the sums of limited keys.
struct WriteLotsAndKeys: Statement {
    let lots: [Lot]
    let keys: [KeySpending]

    static let lotColumns = ColumnList<Lot>([
        Column(id: "account_id", \.account), Column(id: "grant_id", \.id), Column("kind", "smallint", \.kind.rawValue),
        Column("amount", "bigint", \.amount), Column("remaining", "bigint", \.remaining), Column("expired", "bigint", \.expired),
        Column("reversed", "bigint", \.reversed), Column("reversal_target", "bigint", \.reversalTarget),
        Column("reversal_version", "bigint", \.reversalVersion), Column(nullable: "expires_at", "timestamptz", \.expiresAt),
        Column("granted_at", "timestamptz", \.grantedAt),
    ])

    static let keyColumns = ColumnList<KeySpending>(
        from: lotColumns.next,
        [
            Column(id: "account_id", \.id.account), Column("api_key_id", "text", \.id.key.rawValue),
            Column(nullable: "daily_limit", "bigint", \.limits.daily), Column(nullable: "monthly_limit", "bigint", \.limits.monthly),
            Column("held", "bigint", \.held), Column("spent_at", "timestamptz", \.spending.at),
            Column("spent_day", "bigint", \.spending.day), Column("spent_month", "bigint", \.spending.month),
        ])

    static let sql = """
        WITH
            lots AS (
                INSERT INTO credit_grant (\(lotColumns.names))
                SELECT \(lotColumns.rows)
                ON CONFLICT (account_id, grant_id) DO UPDATE
                SET \(lotColumns.assignments(from: "excluded", except: ["account_id", "grant_id"]))
            )
        INSERT INTO key_spending (\(keyColumns.names))
        SELECT \(keyColumns.rows)
        ON CONFLICT (account_id, api_key_id) DO UPDATE
        SET \(keyColumns.assignments(from: "excluded", except: ["account_id", "api_key_id"]))
        """

    func bind(_ parameters: inout Parameters) {
        Self.lotColumns.bind(lots, &parameters)
        Self.keyColumns.bind(keys, &parameters)
    }

    var isEmpty: Bool { lots.isEmpty && keys.isEmpty }
}
