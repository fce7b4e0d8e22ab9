import AMQP
import Contracts
import Messaging
import Outbox
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase, .serialized) struct AcceptMailTests {
    private static let low = RequestedMail.lowBalance(balance: Credits(nano: 999_999_999), level: Credits(whole: 1))
    private static let exhausted = RequestedMail.balanceExhausted(balance: .zero)

    @Test func `a mail states the balance in the language of the user, and how to buy credits or switch it off`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.verifiedMember(sink)
            try await auth.accept(Self.low, for: member.id)
            let english = try #require(try await auth.mails(to: member.email, sink).last)
            #expect(english.subject == "Your SmartSpec credits are running low")
            #expect(english.text.contains("is 0.9999 credits. It fell below 1 credit."))
            #expect(english.links == ["https://gateway.example/buy", "https://gateway.example/settings"])

            let changed = try await auth.ask("PATCH", "/api/auth/me", #"{"locale":"th"}"#, token: member.accessToken)
            #expect(changed.status == 200)
            try await auth.accept(Self.exhausted, for: member.id)
            let thai = try #require(try await auth.mails(to: member.email, sink).last)
            #expect(thai.subject == "เครดิต SmartSpec ของคุณหมดแล้ว")
            #expect(thai.text.contains("คือ 0 เครดิต"))
            #expect(thai.links == english.links)
        }
    }

    @Test func `a balance that could not be mailed within an hour is not mailed, and does not hold up the next one`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.verifiedMember(sink)
            let before = try await auth.mails(to: member.email, sink).count
            try await auth.accept(Self.low, for: member.id)
            auth.clock.advance(.seconds(3_600))
            #expect(try await auth.mails(to: member.email, sink).count == before)
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mails(to: member.email, sink).count == before + 1)
        }
    }

    @Test(arguments: [
        (1_000_000_000, "1 credit."), (1_999_999_999, "1.9999 credits."), (-5_500_000_000, "-5.5 credits."), (-1, "0 credits."),
        (Int64.min, "-9223372036.8547 credits."), (Int64.max, "9223372036.8547 credits."),
    ])
    func `every balance has a text of at most 4 fraction digits`(nano: Int64, text: String) {
        #expect(RequestedMail.balanceExhausted(balance: Credits(nano: nano)).english("").text.contains("is " + text))
        #expect(RequestedMail.lowBalance(balance: .zero, level: Credits(nano: nano)).english("").text.contains("below " + text))
    }

    @Test func `a user without a confirmed address gets no balance by mail`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let token = try await auth.token(to: member.email, sink)
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mailCount(of: member) == 0)
            #expect(try await auth.ask("POST", "/api/auth/email/verify", #"{"token":"\#(token)"}"#).status == 204)
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mailCount(of: member) == 1)
        }
    }

    @Test func `a user who switched the mails off gets none, also none that waits`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.verifiedMember(sink)
            func switchMails(_ state: String) async throws {
                let answer = try await auth.ask("PATCH", "/api/auth/me", #"{"low_balance_mail":\#(state)}"#, token: member.accessToken)
                #expect(answer.status == 200)
            }
            try await switchMails("false")
            for mail in [Self.low, Self.exhausted] { try await auth.accept(mail, for: member.id) }
            #expect(try await auth.mailCount(of: member) == 0)

            try await switchMails("true")
            for mail in [Self.low, Self.exhausted] { try await auth.accept(mail, for: member.id) }
            #expect(try await auth.mailCount(of: member) == 2)
            try await switchMails("false")
            #expect(try await auth.mails(to: member.email, sink).count == 1, "only the link of the registration")
            #expect(try await auth.mailCount(of: member) == 0)
        }
    }

    @Test func `an unknown and a deactivated user get no mail`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.verifiedMember(sink)
            try await auth.accept(Self.low, for: .make())
            try await auth.change(member.id, isActive: false)
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mailCount(of: member) == 0)
            try await auth.change(member.id, isActive: true)
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mailCount(of: member) == 1)
        }
    }

    @Test func `a user gets one mail of a template within a day`() async throws {
        try await MailUnderTest.with { auth, sink in
            let (member, other) = (try await auth.verifiedMember(sink), try await auth.verifiedMember(sink))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await auth.accept(Self.low, for: member.id) } }
                try await group.waitForAll()
            }
            #expect(try await auth.mailCount(of: member) == 1)
            try await auth.accept(Self.exhausted, for: member.id)
            #expect(try await auth.mailCount(of: member) == 2)
            try await auth.accept(Self.low, for: other.id)
            #expect(try await auth.mailCount(of: other) == 1)
            auth.clock.advance(Mailer.pause - .microseconds(1))
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mailCount(of: member) == 2)
            auth.clock.advance(.microseconds(1))
            try await auth.accept(Self.low, for: member.id)
            #expect(try await auth.mailCount(of: member) == 3)
        }
    }

    @Test func `a command that is delivered again adds one mail, and one of an unknown template is a dead letter`() async throws {
        try await TestBroker.with { broker in
            let queue = Topology.authMails
            let deadLetters = try #require(queue.deadLetterQueue)
            try broker.declareTopology()
            try broker.declareQueue(deadLetters)
            try broker.bind(queue: deadLetters, exchange: Topology.deadLetters.name, routingKey: queue.name)
            try broker.declarePolicy(
                "mails", pattern: "^\(queue.name)$",
                definition: #""dead-letter-exchange":"\#(Topology.deadLetters.name)","dead-letter-routing-key":"\#(queue.name)""#)
            try await MailUnderTest.with { auth, sink in
                let member = try await auth.verifiedMember(sink)
                try await auth.consuming(broker) { publisher, metrics in
                    var command = OutgoingMessage(SendMail(userID: member.id, mail: Self.low), from: "ledger")
                    for _ in 0..<3 { try await publisher.publish(command, within: .seconds(30)) }
                    try await until("two are duplicates") { metrics.counter("inbox_duplicates_total", help: "").count == 2 }
                    #expect(try await auth.mailCount(of: member) == 1)
                    #expect(try await auth.mails(to: member.email, sink).last?.subject == "Your SmartSpec credits are running low")

                    command = OutgoingMessage(SendMail(userID: member.id, mail: Self.exhausted), from: "ledger")
                    let newer = String(decoding: command.body, as: UTF8.self).replacing("balance_exhausted", with: "loyalty")
                    command.body = Array(newer.utf8)
                    try await publisher.publish(command, within: .seconds(30))
                    let consumer = AMQPConsumer(
                        try AMQPConfiguration(url: broker.url, connectionName: "test:dead"), source: .queue(deadLetters), prefetch: 1,
                        log: AuthUnderTest.log)
                    let reading = Task(executorPreference: auth.pool.loop) { await consumer.run() }
                    defer { reading.cancel() }
                    #expect(try await consumer.next(max: 1).first?.body == command.body)
                    #expect(try await auth.mailCount(of: member) == 0)
                }
            }
        }
    }
}

extension AuthUnderTest {
    /// Registers a user and confirms the address.
    fileprivate func verifiedMember(_ sink: MailSink) async throws -> Member {
        let member = try await register()
        let token = try await token(to: member.email, sink)
        #expect(try await ask("POST", "/api/auth/email/verify", #"{"token":"\#(token)"}"#).status == 204)
        return member
    }

    fileprivate func mailCount(of member: Member) async throws -> Int64 {
        try await pool.withConnection { try await $0.one(CountMailsOf(user: member.id)) }
    }

    fileprivate func accept(_ mail: RequestedMail, for user: UserID) async throws {
        try await pool.transaction { [mailer = useCases.mailer] transaction in
            try await mailer.accept(SendMail(userID: user, mail: mail), in: transaction)
        }
    }
}

private struct CountMailsOf: Statement {
    static let sql = "SELECT count(*) FROM mail WHERE user_id = $1"
    typealias Output = Int64
    var user: UserID
    func bind(_ parameters: inout Parameters) { parameters.append(user) }
}
