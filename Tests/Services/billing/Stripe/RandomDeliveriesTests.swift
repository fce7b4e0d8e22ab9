import Contracts
import EventLoop
import Foundation
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

/// Random purchases, changes, refunds and disputes, with deliveries that are repeated and out of order, and workers and calls that end
/// in the middle. An oracle with its own code says what each user should have. Deliveries are lost in one of two runs; the other has no
/// sweep of Stripe's lists that could mend a wrong worker.
///
/// `BILLING_DELIVERIES` is the number of deliveries, 400 by default.
@Suite(.database(schema: "billing", migrations: "Shared/Outbox/Migrations", "Services/billing/Migrations"), .serialized)
struct RandomDeliveriesTests {
    @Test(arguments: [false, true])
    func `each user has what the oracle says, however deliveries come`(losesSome: Bool) async throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = drawSeed()
        let goal = environment["BILLING_DELIVERIES"].flatMap { Int($0) } ?? 400
        try await BillingUnderTest.with { test in
            try await test.stripe.control("POST", "webhooks", #"{"mode":"held","copies":2}"#)
            var run = RandomRun(test: test, random: SplitMix64(seed: seed), losesSome: losesSome)
            try await run.go(until: goal / 2)
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
            print("deliveries: \(run.deliveries), acts that had an effect: \(run.acts)")
            let rare = goal < 2_000 ? ["buy", "subscribe"] : RandomRun.names
            for name in rare { #expect(run.acts[name] ?? 0 > 0, "\(name), seed \(seed)") }
        }
    }

    private static func oracle(_ url: String) async throws -> JSONObject {
        let run = try await ChildProcess.run("/usr/bin/python3", ["-B", PythonEnvironment.path(of: "oracle.py"), url])
        #expect(run.status == 0, "\(run.output)")
        return try JSONObject(Array(run.output.utf8))
    }
}

private struct RandomRun {
    let test: BillingUnderTest
    var random: SplitMix64
    let losesSome: Bool
    var users: [UserID] = []
    var deliveries = 0
    /// The acts that had an effect, by name.
    var acts: [String: Int] = [:]
    private var refunds: [String] = []
    private var disputes: [String] = []

    init(test: BillingUnderTest, random: SplitMix64, losesSome: Bool) {
        (self.test, self.random, self.losesSome) = (test, random, losesSome)
    }

    mutating func go(until goal: Int) async throws {
        for _ in 0..<8 { users.append(try await test.user()) }
        while deliveries < goal {
            // Open disputes stop the purchases of more and more users.
            users.append(try await test.user())
            for act in Self.all.shuffled(using: &random) {
                if try await act.run(&self) { acts[act.name, default: 0] += 1 }
                // No two acts fall into one second.
                try await test.advance(hours: Int64.random(in: 1...48, using: &random))
                try await deliver(some: 0.6)
                try await work()
            }
        }
    }

    /// Everything that is still to come; where deliveries were lost, with the sweeps that find them.
    mutating func settle() async throws {
        try await test.billing.sweeps.finishOrders()
        try await deliver(some: 1)
        try await workAll()
        if losesSome {
            try await test.billing.sweeps.sweepEvents()
            try await workAll()
        }
        try await test.billing.sweeps.settleDue()
        try await deliver(some: 1)
        try await workAll()
    }

    private func workAll() async throws {
        try await test.work()
        try await test.pool.withConnection {
            try await $0.script("UPDATE stripe_event SET due_at = now() WHERE state IN ('working', 'retry')")
        }
        try await test.work()
    }

    // MARK: Acts

    private struct Act: Sendable {
        let name: String
        /// Returns true if it had an effect.
        let run: @Sendable (inout RandomRun) async throws -> Bool
    }

    private static let all: [Act] = [
        Act(name: "buy") { try await $0.buy() }, Act(name: "buy") { try await $0.buy() },
        Act(name: "subscribe") { try await $0.subscribe() }, Act(name: "subscribe") { try await $0.subscribe() },
        Act(name: "change") { try await $0.change() }, Act(name: "change") { try await $0.change() },
        Act(name: "cancel") { try await $0.cancel() }, Act(name: "resume") { try await $0.resume() },
        Act(name: "two at once") { try await $0.twoAtOnce() }, Act(name: "broken off") { try await $0.breakOff() },
        Act(name: "refund") { try await $0.refund() }, Act(name: "refund") { try await $0.refund() },
        Act(name: "fail refund") { try await $0.failRefund() }, Act(name: "dispute") { try await $0.dispute() },
        Act(name: "end dispute") { try await $0.endDispute() },
        Act(name: "wait") { run in
            try await run.test.advance(days: Int64.random(in: 1...25, using: &run.random))
            return true
        },
        Act(name: "due") { run in
            try await run.test.billing.sweeps.settleDue()
            return true
        },
        Act(name: "orders") { run in
            try await run.test.billing.sweeps.finishOrders()
            return true
        },
        Act(name: "sweep events") { run in
            if run.losesSome { try await run.test.billing.sweeps.sweepEvents() }
            return true
        },
    ]

    static var names: Set<String> { Set(all.map(\.name)) }

    private mutating func user() -> UserID { users[Int.random(in: 0..<users.count, using: &random)] }

    private func subscription(of user: UserID) async throws -> String? {
        try await test.billing.subscriptions.current(of: user)?.subscription.id
    }

    private mutating func buy() async throws -> Bool {
        let user = user()
        let credits = [50, 100, 120, 250, 500, 1_000].randomElement(using: &random) ?? 100
        let answer = try await test.ask("POST", "/api/payment/checkout/credits", #"{"credits_amount":\#(credits)}"#, as: user)
        guard answer.status == 200 else { return false }
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
        return true
    }

    private mutating func subscribe() async throws -> Bool {
        let user = user()
        let plan = Bool.random(using: &random) ? "pro" : "enterprise"
        let interval = Int.random(in: 0..<3, using: &random) == 0 ? "year" : "month"
        let answer = try await test.ask(
            "POST", "/api/payment/checkout/subscription", #"{"plan":"\#(plan)","interval":"\#(interval)"}"#, as: user)
        guard answer.status == 200 else { return false }
        try await test.stripe.pay(try answer.string("session_id"))
        return true
    }

    /// A user who has a subscription, if one is found soon.
    private mutating func subscriber() async throws -> UserID {
        for _ in 0..<users.count {
            let user = user()
            if try await subscription(of: user) != nil { return user }
        }
        return user()
    }

    private mutating func wantedChange() -> String {
        let plan = Bool.random(using: &random) ? "pro" : "enterprise"
        let interval = Int.random(in: 0..<4, using: &random) == 0 ? #","interval":"year""# : ""
        return #"{"plan":"\#(plan)"\#(interval)}"#
    }

    private mutating func change() async throws -> Bool {
        let wanted = wantedChange()
        return try await test.ask("POST", "/api/payment/subscription/change-plan", wanted, as: try await subscriber()).status < 300
    }

    private mutating func cancel() async throws -> Bool {
        let atEnd = Int.random(in: 0..<3, using: &random) > 0
        let user = try await subscriber()
        return try await test.ask("POST", "/api/payment/subscription/cancel", #"{"at_period_end":\#(atEnd)}"#, as: user).status < 300
    }

    private mutating func resume() async throws -> Bool {
        try await test.ask("POST", "/api/payment/subscription/resume", "{}", as: try await subscriber()).status < 300
    }

    /// Two tabs of one user.
    private mutating func twoAtOnce() async throws -> Bool {
        let user = try await subscriber()
        let acts = [
            ("subscription/change-plan", wantedChange()), ("subscription/change-plan", wantedChange()), ("subscription/cancel", "{}"),
            ("subscription/resume", "{}"), ("checkout/credits", #"{"credits_amount":100}"#),
            ("checkout/credits", #"{"credits_amount":100}"#),
            ("checkout/subscription", #"{"plan":"pro","interval":"month"}"#),
            ("checkout/subscription", #"{"plan":"enterprise","interval":"month"}"#),
        ].shuffled(using: &random).prefix(2)
        let test = test
        let answers = try await withThrowingTaskGroup(of: BillingUnderTest.Answer.self) { group in
            for (path, body) in acts {
                group.addTask(executorPreference: test.pool.loop) { try await test.ask("POST", "/api/payment/\(path)", body, as: user) }
            }
            return try await group.reduce(into: [BillingUnderTest.Answer]()) { $0.append($1) }
        }
        let worked = answers.filter { $0.status < 300 }
        // Each page that a tab was given can be paid.
        for answer in worked {
            if let session = try answer.json().optionalString("session_id") { _ = try? await test.stripe.pay(session) }
        }
        return worked.count == 2
    }

    /// The process ends in the middle of an act.
    private mutating func breakOff() async throws -> Bool {
        let user = try await subscriber()
        let (billing, loop) = (test.billing, test.pool.loop)
        let (plan, buys) = (Bool.random(using: &random) ? "pro" : "enterprise", Bool.random(using: &random))
        let act = Task(executorPreference: loop) {
            if !buys, let id = try await billing.subscriptions.current(of: user)?.subscription.id,
                let price = try await billing.price(of: plan, .month)
            {
                _ = try await billing.subscriptions.change(id, of: user, to: price)
            } else if let offer = try await billing.offer(credits: 250) {
                _ = try await billing.checkout.start(
                    .credits(offer), for: user, successURL: "https://gateway.example/a", cancelURL: "https://gateway.example/b")
            }
        }
        try await loop.sleep(for: .milliseconds(Int.random(in: 0...60, using: &random)))
        act.cancel()
        guard case .failure = await act.result else { return false }
        return true
    }

    private mutating func refund() async throws -> Bool {
        let charges = try await test.stripe.api("GET", "/v1/charges?limit=100").array("data").compactMap(\.object)
        guard let charge = charges.randomElement(using: &random) else { return false }
        let left = try charge.integer("amount") - charge.integer("amount_refunded")
        guard try charge.optionalBool("paid") == true, left > 0 else { return false }
        let amount = Bool.random(using: &random) ? left : Int64.random(in: 1...left, using: &random)
        // Stripe refuses it for a disputed charge.
        let refund = try? await test.stripe.api("POST", "/v1/refunds", ["charge": try charge.string("id"), "amount": "\(amount)"])
        if let refund { refunds.append(try refund.string("id")) }
        return refund != nil
    }

    private mutating func failRefund() async throws -> Bool {
        guard let refund = refunds.randomElement(using: &random) else { return false }
        return (try? await test.stripe.control("POST", "refunds/\(refund)/fail")) != nil
    }

    private mutating func dispute() async throws -> Bool {
        let charges = try await test.stripe.api("GET", "/v1/charges?limit=100").array("data").compactMap(\.object)
        guard let charge = charges.randomElement(using: &random), try charge.optionalBool("paid") == true,
            try charge.integer("amount_refunded") == 0
        else { return false }
        let id = try charge.string("id")
        guard let dispute = try? await test.stripe.control("POST", "disputes", #"{"charge":"\#(id)"}"#) else { return false }
        let disputeID = try dispute.string("id")
        disputes.append(disputeID)
        let rate = Double(Int.random(in: 70...99, using: &random)) / 100
        try await test.stripe.control("POST", "settlement", #"{"currency":"eur","rate":\#(rate)}"#)
        if Bool.random(using: &random) { _ = try? await test.stripe.control("POST", "disputes/\(disputeID)/withdraw") }
        return true
    }

    private mutating func endDispute() async throws -> Bool {
        guard let dispute = disputes.randomElement(using: &random) else { return false }
        return (try? await test.stripe.control("POST", "disputes/\(dispute)/\(Bool.random(using: &random) ? "win" : "lose")")) != nil
    }

    // MARK: Deliveries

    /// Delivers a part of what is pending, in any order. Where some are lost, it is one in ten of the others.
    private mutating func deliver(some part: Double) async throws {
        let pending = try await test.stripe.control("GET", "webhooks/pending").array("pending").compactMap { try $0.object?.integer("id") }
        let chosen = pending.shuffled(using: &random).filter { _ in Double.random(in: 0..<1, using: &random) < part }
        let lost = Set(pending).subtracting(chosen).sorted().filter { _ in Int.random(in: 0..<10, using: &random) == 0 }
        if losesSome, !lost.isEmpty { try await test.stripe.control("POST", "webhooks/drop", #"{"ids":\#(lost)}"#) }
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
