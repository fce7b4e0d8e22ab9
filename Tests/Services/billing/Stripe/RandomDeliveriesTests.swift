import Contracts
import EventLoop
import Foundation
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

/// Random purchases, changes, refunds and disputes, with deliveries that are lost, repeated and out of order, and workers that end in
/// the middle. An oracle with its own code says what each user should have.
///
/// `BILLING_DELIVERIES` is the number of deliveries, 400 by default.
@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct RandomDeliveriesTests {
    @Test func `each user has what the oracle says, however deliveries come`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = drawSeed()
        let goal = environment["BILLING_DELIVERIES"].flatMap { Int($0) } ?? 400
        try await BillingUnderTest.with { test in
            try await test.stripe.control("POST", "webhooks", #"{"mode":"held","copies":2}"#)
            var run = RandomRun(test: test, random: SplitMix64(seed: seed))
            try await run.go(until: goal)
            try await run.settle()
            let oracle = try await Self.oracle(test.stripe.url)
            for user in run.users {
                // A user who never got to the checkout is no customer of Stripe's.
                guard let expected = try oracle.optionalObject("\(user)") else { continue }
                #expect(try await test.balance(of: user) == Credits(nano: try expected.integer("nano")), "\(user), seed \(seed)")
                #expect(try await test.plan(of: user) == (try expected.string("plan")), "\(user), seed \(seed)")
            }
            let open = try await test.events(in: "received", "working", "retry", "dead")
            #expect(open.isEmpty, "\(open), seed \(seed)")
            print("deliveries: \(run.deliveries), acts: \(run.acts)")
        }
    }

    private static func oracle(_ url: String) async throws -> JSONObject {
        let output = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path(percentEncoded: false)
        defer { try? FileManager.default.removeItem(atPath: output) }
        let script = TestDatabase.packageRoot + "/Tests/Services/billing/Stripe/oracle.py"
        // The program asks the simulator, and both wait on this thread's loop for nothing.
        let status = try ChildProcess("/usr/bin/python3", ["-B", script, url], environment: ["PATH": "/usr/bin:/bin"], output: output)
            .wait()
        let text = try String(contentsOfFile: output, encoding: .utf8)
        #expect(status == 0, "\(text)")
        return try JSONObject(Array(text.utf8))
    }
}

private struct RandomRun {
    let test: BillingUnderTest
    var random: SplitMix64
    var users: [UserID] = []
    var deliveries = 0
    var acts: [String: Int] = [:]
    private var refunds: [String] = []
    private var disputes: [String] = []

    init(test: BillingUnderTest, random: SplitMix64) { (self.test, self.random) = (test, random) }

    mutating func go(until goal: Int) async throws {
        for _ in 0..<8 { users.append(try await test.user()) }
        while deliveries < goal {
            let act = Self.all[Int.random(in: 0..<Self.all.count, using: &random)]
            acts[act.name, default: 0] += 1
            try await act.run(&self)
            // No two acts fall into one second.
            try await test.advance(hours: Int64.random(in: 1...48, using: &random))
            try await deliver(some: 0.6)
            try await work()
        }
    }

    /// Everything that is still to come, and the sweeps for what was lost.
    mutating func settle() async throws {
        try await deliver(some: 1)
        try await test.work()
        try await test.pool.withConnection {
            try await $0.script("UPDATE stripe_event SET due_at = now() WHERE state IN ('working', 'retry')")
        }
        try await test.work()
        try await test.billing.sweeps.sweepObjects()
        try await test.billing.sweeps.settleDue()
        try await test.billing.sweeps.sweepEvents()
        try await test.work()
    }

    // MARK: Acts

    private struct Act: Sendable {
        let name: String
        let run: @Sendable (inout RandomRun) async throws -> Void
    }

    private static let all: [Act] = [
        Act(name: "buy") { try await $0.buy() }, Act(name: "buy") { try await $0.buy() },
        Act(name: "subscribe") { try await $0.subscribe() }, Act(name: "subscribe") { try await $0.subscribe() },
        Act(name: "change") { try await $0.change() }, Act(name: "cancel") { try await $0.cancel() },
        Act(name: "resume") { run in
            let user = run.user()
            if let id = try await run.subscription(of: user) { _ = try await run.test.billing.subscriptions.resume(id, of: user) }
        },
        Act(name: "refund") { try await $0.refund() }, Act(name: "fail refund") { try await $0.failRefund() },
        Act(name: "dispute") { try await $0.dispute() }, Act(name: "end dispute") { try await $0.endDispute() },
        Act(name: "wait") { run in try await run.test.advance(days: Int64.random(in: 1...25, using: &run.random)) },
        Act(name: "due") { try await $0.test.billing.sweeps.settleDue() },
        Act(name: "sweep events") { try await $0.test.billing.sweeps.sweepEvents() },
    ]

    private mutating func user() -> UserID { users[Int.random(in: 0..<users.count, using: &random)] }

    private func subscription(of user: UserID) async throws -> String? {
        try await test.billing.subscriptions.current(of: user)?.subscription.id
    }

    private mutating func buy() async throws {
        let user = user()
        let credits = [50, 100, 120, 250, 500, 1_000].randomElement(using: &random) ?? 100
        let answer = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":\#(credits)}"#, as: user)
        guard answer.status == 200 else { return }
        let session = try answer.string("session_id")
        switch Int.random(in: 0..<10, using: &random) {
        case 0: try await test.stripe.pay(session, card: "4000000000000002")
        case 1: break
        case 2:
            try await test.stripe.control("POST", "checkout/\(session)/pay_later")
            try await test.stripe.control("POST", "checkout/\(session)/\(Bool.random(using: &random) ? "succeed_async" : "fail_async")")
        default:
            try await test.stripe.pay(session)
            // The page after the checkout asks too.
            if Bool.random(using: &random) { _ = try await test.ask("GET", "/api/payment/checkout/\(session)", as: user) }
        }
    }

    private mutating func subscribe() async throws {
        let user = user()
        let plan = Bool.random(using: &random) ? "pro" : "enterprise"
        let interval = Int.random(in: 0..<3, using: &random) == 0 ? "year" : "month"
        let answer = try await test.ask(
            "POST", "/api/payment/checkout/subscription", #"{"plan":"\#(plan)","interval":"\#(interval)"}"#, as: user)
        guard answer.status == 200 else { return }
        try await test.stripe.pay(try answer.string("session_id"))
    }

    private mutating func change() async throws {
        let plan = Bool.random(using: &random) ? "pro" : "enterprise"
        let interval = Int.random(in: 0..<4, using: &random) == 0 ? #","interval":"year""# : ""
        _ = try await test.ask("POST", "/api/payment/subscription/change-plan", #"{"plan":"\#(plan)"\#(interval)}"#, as: user())
    }

    private mutating func cancel() async throws {
        let atEnd = Int.random(in: 0..<3, using: &random) > 0
        _ = try await test.ask("POST", "/api/payment/subscription/cancel", #"{"at_period_end":\#(atEnd)}"#, as: user())
    }

    private mutating func refund() async throws {
        let charges = try await test.stripe.api("GET", "/v1/charges?limit=100").array("data").compactMap(\.object)
        guard let charge = charges.randomElement(using: &random) else { return }
        let left = try charge.integer("amount") - charge.integer("amount_refunded")
        guard try charge.optionalBool("paid") == true, left > 0 else { return }
        let amount = Bool.random(using: &random) ? left : Int64.random(in: 1...left, using: &random)
        // Stripe refuses it for a disputed charge.
        let refund = try? await test.stripe.api("POST", "/v1/refunds", ["charge": try charge.string("id"), "amount": "\(amount)"])
        if let refund { refunds.append(try refund.string("id")) }
    }

    private mutating func failRefund() async throws {
        guard let refund = refunds.randomElement(using: &random) else { return }
        _ = try? await test.stripe.control("POST", "refunds/\(refund)/fail")
    }

    private mutating func dispute() async throws {
        let charges = try await test.stripe.api("GET", "/v1/charges?limit=100").array("data").compactMap(\.object)
        guard let charge = charges.randomElement(using: &random), try charge.optionalBool("paid") == true,
            try charge.integer("amount_refunded") == 0
        else { return }
        let id = try charge.string("id")
        guard let dispute = try? await test.stripe.control("POST", "disputes", #"{"charge":"\#(id)"}"#) else { return }
        let disputeID = try dispute.string("id")
        disputes.append(disputeID)
        if Bool.random(using: &random) { _ = try? await test.stripe.control("POST", "disputes/\(disputeID)/withdraw") }
    }

    private mutating func endDispute() async throws {
        guard let dispute = disputes.randomElement(using: &random) else { return }
        _ = try? await test.stripe.control("POST", "disputes/\(dispute)/\(Bool.random(using: &random) ? "win" : "lose")")
    }

    // MARK: Deliveries

    /// Delivers a part of what is pending, in any order. One in ten of the others is lost.
    private mutating func deliver(some part: Double) async throws {
        let pending = try await test.stripe.control("GET", "webhooks/pending").array("pending").compactMap { try $0.object?.integer("id") }
        let chosen = pending.shuffled(using: &random).filter { _ in Double.random(in: 0..<1, using: &random) < part }
        let lost = Set(pending).subtracting(chosen).sorted().filter { _ in Int.random(in: 0..<10, using: &random) == 0 }
        if !lost.isEmpty { try await test.stripe.control("POST", "webhooks/drop", #"{"ids":\#(lost)}"#) }
        guard !chosen.isEmpty else { return }
        try await test.stripe.control("POST", "webhooks/deliver", #"{"ids":\#(chosen)}"#)
        deliveries += chosen.count
    }

    /// Works on some events. One worker in four ends in the middle; its leases then end.
    private mutating func work() async throws {
        guard Int.random(in: 0..<4, using: &random) == 0 else { return try await test.work() }
        let worker = test.billing.worker
        let loop = test.pool.loop
        let working = Task(executorPreference: loop) { _ = try? await worker.runOnce() }
        try await loop.sleep(for: .milliseconds(Int.random(in: 0...60, using: &random)))
        working.cancel()
        await working.value
        try await test.pool.withConnection { try await $0.script("UPDATE stripe_event SET due_at = now() WHERE state = 'working'") }
    }
}
