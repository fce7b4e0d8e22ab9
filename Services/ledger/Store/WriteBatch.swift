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
    let usage: [UsageRow]

    init(_ entries: [Entry], _ changes: Changes) {
        (self.entries, self.changes, usage) = (entries, changes, UsageRow.of(entries))
    }

    static let sql = """
        WITH
            written AS (
                INSERT INTO journal (
                    charge_id, step, account_id, seq, kind, status, requested, amount, posted_delta, held_delta, posted_after,
                    held_after, fingerprint, decided_at, grant_id, expires_at, trace_id, conversation_id, description, metadata)
                SELECT
                    unnest($1::uuid[]), unnest($2::smallint[]), unnest($3::uuid[]), unnest($4::bigint[]), unnest($5::smallint[]),
                    unnest($6::smallint[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[]), unnest($10::bigint[]),
                    unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::bigint[]), unnest($14::timestamptz[]), unnest($15::uuid[]),
                    unnest($16::timestamptz[]), unnest($17::uuid[]), unnest($18::uuid[]), unnest($19::text[]), unnest($20::jsonb[])
            ),
            changed AS (
                UPDATE account
                SET posted = new.posted, held = new.held, owed = new.owed, seq = new.seq, lots_expire_at = new.lots_expire_at,
                    spent_at = new.spent_at, spent_day = new.spent_day, spent_month = new.spent_month, counts_keys = new.counts_keys,
                    alerted = new.alerted
                FROM (
                    SELECT
                        unnest($21::uuid[]) AS account_id, unnest($22::bigint[]) AS posted, unnest($23::bigint[]) AS held,
                        unnest($24::bigint[]) AS owed, unnest($25::bigint[]) AS seq, unnest($26::timestamptz[]) AS lots_expire_at,
                        unnest($27::timestamptz[]) AS spent_at, unnest($28::bigint[]) AS spent_day, unnest($29::bigint[]) AS spent_month,
                        unnest($30::boolean[]) AS counts_keys, unnest($31::smallint[]) AS alerted
                ) AS new
                WHERE account.account_id = new.account_id AND account.seq <= new.seq
                RETURNING 1
            ),
            put AS (
                INSERT INTO open_hold (charge_id, account_id, amount, reported, expires_at, api_key_id, is_overdue)
                SELECT
                    unnest($32::uuid[]), unnest($33::uuid[]), unnest($34::bigint[]), unnest($35::bigint[]), unnest($36::timestamptz[]),
                    unnest($37::text[]), unnest($51::boolean[])
                ON CONFLICT (charge_id) DO UPDATE
                SET amount = excluded.amount, reported = excluded.reported, expires_at = excluded.expires_at,
                    is_overdue = excluded.is_overdue
            ),
            deleted AS (
                DELETE FROM open_hold
                WHERE charge_id = ANY($38::uuid[])
                RETURNING 1
            ),
            used AS (
                INSERT INTO usage_quarter AS sum (
                    account_id, quarter, type, model, operation, entries, credits, overage, prompt_tokens, completion_tokens)
                SELECT
                    unnest($39::uuid[]), unnest($40::timestamptz[]), unnest($41::text[]), unnest($42::text[]), unnest($43::text[]),
                    unnest($44::bigint[]), unnest($45::bigint[]), unnest($46::bigint[]), unnest($47::bigint[]), unnest($48::bigint[])
                ON CONFLICT (account_id, quarter, type, model, operation) DO UPDATE
                -- Nothing that is only added up for people may keep a charge from being written.
                SET entries = sum.entries + excluded.entries,
                    credits = least(greatest(sum.credits::numeric + excluded.credits, -9223372036854775808), 9223372036854775807)::bigint,
                    overage = least(sum.overage::numeric + excluded.overage, 9223372036854775807)::bigint,
                    prompt_tokens = sum.prompt_tokens + excluded.prompt_tokens,
                    completion_tokens = sum.completion_tokens + excluded.completion_tokens
            )
        SELECT
            expect_rows('accounts changed', (SELECT count(*) FROM changed), $49),
            expect_rows('holds ended', (SELECT count(*) FROM deleted), $50)
        """

    func bind(_ parameters: inout Parameters) {
        bindEntries(&parameters)
        bindAccounts(&parameters)
        parameters.append(changes.holdsPut.map(\.charge))
        parameters.append(changes.holdsPut.map(\.account))
        parameters.append(changes.holdsPut.map(\.amount))
        parameters.append(changes.holdsPut.map(\.reported))
        parameters.append(changes.holdsPut.map(\.expiresAt))
        parameters.append(changes.holdsPut.map { $0.key?.rawValue })
        parameters.append(changes.holdsDeleted)
        bindUsage(&parameters)
        parameters.append(changes.accounts.count)
        parameters.append(changes.holdsDeleted.count)
        parameters.append(changes.holdsPut.map(\.isOverdue))
    }

    private func bindEntries(_ parameters: inout Parameters) {
        parameters.append(entries.map(\.charge))
        parameters.append(entries.map(\.step.rawValue))
        parameters.append(entries.map(\.account))
        parameters.append(entries.map(\.seq))
        parameters.append(entries.map(\.kind.rawValue))
        parameters.append(entries.map(\.status.rawValue))
        parameters.append(entries.map(\.requested))
        parameters.append(entries.map(\.amount))
        parameters.append(entries.map(\.postedDelta))
        parameters.append(entries.map(\.heldDelta))
        parameters.append(entries.map(\.postedAfter))
        parameters.append(entries.map(\.heldAfter))
        parameters.append(entries.map(\.fingerprint))
        parameters.append(entries.map(\.at))
        parameters.append(entries.map(\.grant))
        parameters.append(entries.map(\.expiresAt))
        parameters.append(entries.map(\.context.trace))
        parameters.append(entries.map(\.context.conversation))
        parameters.append(entries.map(\.context.description))
        parameters.append(entries.map { $0.context.metadata.map(JSONText.init) })
    }

    private func bindAccounts(_ parameters: inout Parameters) {
        let accounts = changes.accounts
        parameters.append(accounts.map(\.id))
        parameters.append(accounts.map(\.posted))
        parameters.append(accounts.map(\.held))
        parameters.append(accounts.map(\.owed))
        parameters.append(accounts.map(\.seq))
        parameters.append(accounts.map(\.lotsExpireAt))
        parameters.append(accounts.map(\.spending.at))
        parameters.append(accounts.map(\.spending.day))
        parameters.append(accounts.map(\.spending.month))
        parameters.append(accounts.map(\.countsKeys))
        parameters.append(accounts.map(\.alerted.rawValue))
    }

    private func bindUsage(_ parameters: inout Parameters) {
        parameters.append(usage.map(\.key.account))
        parameters.append(usage.map(\.key.quarter))
        parameters.append(usage.map(\.key.type))
        parameters.append(usage.map(\.key.model))
        parameters.append(usage.map(\.key.operation))
        parameters.append(usage.map(\.entries))
        parameters.append(usage.map(\.credits))
        parameters.append(usage.map(\.overage))
        parameters.append(usage.map(\.promptTokens))
        parameters.append(usage.map(\.completionTokens))
    }

    /// Reports and repetitions can change nothing.
    var isEmpty: Bool { entries.isEmpty && changes.accounts.isEmpty && changes.holdsPut.isEmpty && changes.holdsDeleted.isEmpty }
}

/// Writes the changes that few batches make: lots, and the sums of limited keys.
struct WriteLotsAndKeys: Statement {
    let lots: [Lot]
    let keys: [KeySpending]

    static let sql = """
        WITH
            lots AS (
                INSERT INTO credit_grant (
                    account_id, grant_id, kind, amount, remaining, expired, reversed, reversal_target, reversal_version, expires_at,
                    granted_at)
                SELECT
                    unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::bigint[]), unnest($5::bigint[]),
                    unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[]), unnest($10::timestamptz[]),
                    unnest($11::timestamptz[])
                ON CONFLICT (account_id, grant_id) DO UPDATE
                SET kind = excluded.kind, amount = excluded.amount, remaining = excluded.remaining, expired = excluded.expired,
                    reversed = excluded.reversed, reversal_target = excluded.reversal_target,
                    reversal_version = excluded.reversal_version, expires_at = excluded.expires_at, granted_at = excluded.granted_at
            )
        INSERT INTO key_spending (account_id, api_key_id, daily_limit, monthly_limit, held, spent_at, spent_day, spent_month)
        SELECT
            unnest($12::uuid[]), unnest($13::text[]), unnest($14::bigint[]), unnest($15::bigint[]), unnest($16::bigint[]),
            unnest($17::timestamptz[]), unnest($18::bigint[]), unnest($19::bigint[])
        ON CONFLICT (account_id, api_key_id) DO UPDATE
        SET daily_limit = excluded.daily_limit, monthly_limit = excluded.monthly_limit, held = excluded.held, spent_at = excluded.spent_at,
            spent_day = excluded.spent_day, spent_month = excluded.spent_month
        """

    func bind(_ parameters: inout Parameters) {
        parameters.append(lots.map(\.account))
        parameters.append(lots.map(\.id))
        parameters.append(lots.map(\.kind.rawValue))
        parameters.append(lots.map(\.amount))
        parameters.append(lots.map(\.remaining))
        parameters.append(lots.map(\.expired))
        parameters.append(lots.map(\.reversed))
        parameters.append(lots.map(\.reversalTarget))
        parameters.append(lots.map(\.reversalVersion))
        parameters.append(lots.map(\.expiresAt))
        parameters.append(lots.map(\.grantedAt))
        parameters.append(keys.map(\.id.account))
        parameters.append(keys.map(\.id.key.rawValue))
        parameters.append(keys.map(\.limits.daily))
        parameters.append(keys.map(\.limits.monthly))
        parameters.append(keys.map(\.held))
        parameters.append(keys.map(\.spending.at))
        parameters.append(keys.map(\.spending.day))
        parameters.append(keys.map(\.spending.month))
    }

    var isEmpty: Bool { lots.isEmpty && keys.isEmpty }
}
