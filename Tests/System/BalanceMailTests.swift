import HTTPClient
import JSON
import Postgres
import TestSupport
import Testing
import Values

extension SystemTests {
    /// The mails about a balance: from the ledger's decision to the user's mailbox.
    struct BalanceMailTests {
        @Test func `an account that falls below its level is mailed once in its language, and not after an opt-out`() async throws {
            try await Gateway.run { gateway in
                let thai = try await gateway.registerToBeMailed(#"{"locale":"th"}"#)
                let silent = try await gateway.registerToBeMailed(#"{"low_balance_mail":false}"#)
                for account in [thai, silent] {
                    for _ in 0..<3 { try gateway.expect(try await gateway.chat(account, model: "sim-fast", maxTokens: 10), 200) }
                }
                for account in [thai, silent] {
                    try await gateway.until("auth handled the command") { try await gateway.mailsHandled(for: account) == 1 }
                }
                try await gateway.until("the mail is there") { try await gateway.balanceMails(to: thai).count == 1 }
                let mail = try #require(try await gateway.balanceMails(to: thai).first)
                #expect(mail.subject == "เครดิต SmartSpec ของคุณใกล้หมด")
                #expect(mail.text.contains(" 9.99"))
                #expect(mail.links == [try gateway.stack.edge + "/buy", try gateway.stack.edge + "/settings"])
                #expect(try await gateway.balanceMails(to: silent).isEmpty)
                #expect(try await gateway.mailsWaiting(for: silent) == 0)

                try await gateway.change(silent, #"{"low_balance_mail":true}"#)
                try await gateway.until("no hold is open") { try await gateway.openHolds(of: silent) == 0 }
                try await gateway.adjust(silent, by: -(try await gateway.balance(of: silent).posted))
                try await gateway.until("the next mail is there") { try await gateway.balanceMails(to: silent).count == 1 }
                #expect(try await gateway.balanceMails(to: silent).first?.subject == "Your SmartSpec credits are used up")
                #expect(try await gateway.balanceMails(to: thai).count == 1)
            }
        }

        @Test func `auth is killed before and after it stores a mail, and the user gets the mail once`() async throws {
            try await Gateway.run { gateway in
                let (stack, database) = (gateway.stack, gateway.database)
                let account = try await gateway.registerToBeMailed("{}")
                try await stack.kill(.mailSink)
                try await database.transaction { transaction in
                    // auth has the command, and waits for the table before it can commit.
                    try await transaction.execute(LockMails())
                    try gateway.expect(try await gateway.chat(account, model: "sim-fast", maxTokens: 10), 200)
                    try await gateway.until("auth stores the mail") { try await database.first(CountBlocked()) ?? 0 > 0 }
                    try await stack.kill(.auth)
                }
                #expect(try await gateway.mailsWaiting(for: account) == 0)
                try await stack.start(.auth)
                try await gateway.until("the mail waits") { try await gateway.mailsWaiting(for: account) == 1 }
                try await stack.kill(.auth)
                try await stack.start(.mailSink)
                try await stack.start(.auth)
                try await gateway.until("the mail is sent", within: .seconds(90)) { try await gateway.mailsWaiting(for: account) == 0 }
                #expect(try await gateway.balanceMails(to: account).map(\.subject) == ["Your SmartSpec credits are running low"])
                #expect(try await gateway.mailsHandled(for: account) == 1)
            }
        }
    }
}

extension Gateway {
    /// Registers a user who has confirmed the address, and whose first paid call falls below the
    /// level of the account.
    /// - Parameter profile: the body of `PATCH /api/auth/me`.
    fileprivate func registerToBeMailed(_ profile: String) async throws -> Account {
        let account = try await register()
        try await change(account, profile)
        let level = #"{"low_balance_level":\#(try await balance(of: account).posted)}"#
        try expect(try await request("PUT", "/api/credits/limits", account.token, level), 200)
        try await confirmAddress(of: account)
        return account
    }

    fileprivate func change(_ account: Account, _ profile: String) async throws {
        try expect(try await request("PATCH", "/api/auth/me", account.token, profile), 200)
    }

    /// Returns the mails without a one-time link.
    fileprivate func balanceMails(to account: Account) async throws -> [MailSink.Message] {
        try await mails(to: account).filter { mail in !mail.links.contains { $0.contains("?token=") } }
    }

    /// Returns the number of commands for mails to the owner that auth handled.
    fileprivate func mailsHandled(for account: Account) async throws -> Int64 {
        try await database.first(CountMailsHandled(account: account.id)) ?? 0
    }

    fileprivate func mailsWaiting(for account: Account) async throws -> Int64 {
        try await database.first(CountMailsWaiting(account: account.id)) ?? 0
    }
}

private struct CountMailsHandled: Statement {
    static let sql = """
        SELECT count(*)
        FROM ledger.outbox
        JOIN auth.inbox ON inbox.message_id = outbox.message_id
        WHERE outbox.type = 'mail.send.v1' AND convert_from(outbox.body, 'UTF8') LIKE '%' || $1 || '%'
        """
    typealias Output = Int64
    var account: AccountID
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }
}

private struct CountMailsWaiting: Statement {
    static let sql = "SELECT count(*) FROM auth.mail WHERE user_id = $1"
    typealias Output = Int64
    var account: AccountID
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct LockMails: Statement {
    static let sql = "LOCK TABLE auth.mail IN EXCLUSIVE MODE"
}

private struct CountBlocked: Statement {
    static let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO mail %'"
    typealias Output = Int64
}
