import AMQP
import Contracts
import JSON
import Messaging
import Outbox
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase, .serialized) struct CopyPlanTests {
    private static func message(_ user: UserID, _ plan: String, seq: Int64) -> PlanChanged {
        PlanChanged(
            userID: user, plan: plan,
            features: PlanFeatures(endpoints: nil, requestsPerMinute: nil, tokensPerMinute: nil, concurrency: nil, priority: 0),
            validUntil: nil, seq: seq)
    }

    @Test func `a new plan refuses older tokens, and is in the next one and in the audit trail`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            try await auth.copy(Self.message(member.id, "pro", seq: 1))
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).errorCode == "token_expired")
            let answer = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(member.refreshToken)"}"#)
            #expect(try answer.json().object("user").string("plan") == "pro")
            let me = try await auth.ask("GET", "/api/auth/me", token: try answer.string("access_token"))
            #expect(try me.string("plan") == "pro")
            #expect(try await auth.outboxCount("user.changed.v1", about: member.id.description) == 1)
            let admin = try await auth.administrator()
            let audit = try await auth.ask("GET", "/api/admin/users/\(member.id)/audit", token: admin.accessToken)
            let last = try #require(try audit.json().array("data").first?.object)
            #expect(try (last.string("event"), last.string("subject")) == ("plan_changed", "pro"))
        }
    }

    @Test func `a late message and a repeated one change nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            for (plan, seq, expected) in [
                ("pro", 2, "pro"), ("enterprise", 1, "pro"), ("free", 2, "pro"), ("free", 4, "free"), ("pro", 3, "free"),
            ] {
                try await auth.copy(Self.message(member.id, plan, seq: Int64(seq)))
                #expect(try await auth.plan(of: member.id) == expected, "\(plan) \(seq)")
            }
            #expect(try await auth.outboxCount("user.changed.v1", about: member.id.description) == 2)
        }
    }

    @Test func `a message that moves the end of the same plan leaves tokens as they are, and counts`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            try await auth.copy(Self.message(member.id, "free", seq: 5))
            #expect(try await auth.ask("GET", "/api/auth/me", token: member.accessToken).status == 200)
            try await auth.copy(Self.message(member.id, "pro", seq: 4))
            #expect(try await auth.plan(of: member.id) == "free")
            #expect(try await auth.outboxCount("user.changed.v1", about: member.id.description) == 0)
        }
    }

    @Test func `messages of one user at once end with the greatest number, in every order`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for seq in (1...16).shuffled() {
                    group.addTask { try await auth.copy(Self.message(member.id, "plan-\(seq)", seq: Int64(seq))) }
                }
                try await group.waitForAll()
            }
            #expect(try await auth.plan(of: member.id) == "plan-16")
        }
    }

    @Test func `a plan that the broker brings several times is copied once`() async throws {
        try await TestBroker.with { broker in
            try broker.declareTopology()
            try await AuthUnderTest.with { auth in
                let member = try await auth.register()
                try await auth.consuming(broker) { publisher, metrics in
                    let message = OutgoingMessage(Self.message(member.id, "pro", seq: 1), from: "billing")
                    for _ in 0..<3 { try await publisher.publish(message, within: .seconds(30)) }
                    try await until("two are duplicates") { metrics.counter("inbox_duplicates_total", help: "").count == 2 }
                    #expect(try await auth.plan(of: member.id) == "pro")
                    #expect(try await auth.outboxCount("user.changed.v1", about: member.id.description) == 1)
                }
            }
        }
    }

    @Test func `the plan of an unknown user is tried again and then parked`() async throws {
        try await TestBroker.with { broker in
            try broker.declareTopology()
            try await AuthUnderTest.with { auth in
                var configuration = SubscriptionRunner.Configuration()
                configuration.retryDelays = [.milliseconds(10), .milliseconds(10)]
                configuration.retrySweepEvery = .milliseconds(20)
                try await auth.consuming(broker, configuration) { publisher, _ in
                    let message = OutgoingMessage(Self.message(.make(), "pro", seq: 1), from: "billing")
                    try await publisher.publish(message, within: .seconds(30))
                    let letters = ReadDeadLetters(queue: Topology.authPlans.name)
                    try await until("the message is parked") { try await auth.pool.query(letters).map(\.state) == ["parked"] }
                    #expect(try await auth.pool.query(letters).map(\.attempts) == [3])
                }
            }
        }
    }
}

extension AuthUnderTest {
    fileprivate func plan(of user: UserID) async throws -> String {
        try await pool.withConnection { try await $0.one(FindUser(id: user)).plan }
    }
}

private struct ReadDeadLetters: Statement {
    static let sql = "SELECT state::text, attempts FROM dead_letter WHERE consumer = $1"
    typealias Output = (state: String, attempts: Int64)
    var queue: String

    func bind(_ parameters: inout Parameters) { parameters.append(queue) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output { (try row.next(), try row.next()) }
}
