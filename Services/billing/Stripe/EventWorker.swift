import EventLoop
import JSON
import Postgres
import Synchronization
import Telemetry
import Values

/// Works on stored events, a few at a time. An event stays until it is done, or dead and waiting for an administrator.
final class EventWorker: Sendable {
    private let settlement: Settlement
    private let loop: EventLoop
    private let log: Logger
    private let waiter = Mutex<Promise<Void>?>(nil)
    private let done: Counter
    private let dead: Counter

    /// Events in work at once. Each has a connection to the database.
    static let atOnceMax: Int64 = 4
    /// Attempts before an event is dead: about 15 hours.
    static let attemptsMax: Int64 = 24
    /// Attempts for an event whose user is unknown: the row of a new user may come late.
    static let attemptsForUnknownMax: Int64 = 5
    /// The longest time until an event is seen that another replica stored.
    private static let poll = Duration.seconds(1)

    init(_ settlement: Settlement, loop: EventLoop, metrics: Metrics = .shared) {
        (self.settlement, self.loop, log) = (settlement, loop, settlement.log)
        done = metrics.counter("billing_events_done_total", help: "Events of Stripe that were worked on to the end")
        dead = metrics.counter("billing_events_dead_total", help: "Events of Stripe that wait for an administrator")
    }

    /// Says that an event may be due.
    func wake() { _ = waiter.withLock { $0.take() }?.succeed(()) }

    /// Works until it is cancelled.
    func run() async throws {
        while true {
            let promise = Promise<Void>(on: loop)
            waiter.withLock { $0 = promise }
            let count: Int
            do {
                count = try await runOnce()
            } catch let error as PostgresError {
                log.warning("events failed", error: error)
                count = 0
            }
            if count == 0 { try await promise.value(within: Self.poll, elseReturn: ()) }
            try Task.checkCancellation()
        }
    }

    /// Works on what is due.
    /// - Returns: the number of events.
    func runOnce() async throws -> Int {
        let events = try await settlement.pool.query(ClaimEvents(limit: Self.atOnceMax))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for event in events { group.addTask(executorPreference: self.loop) { try await self.work(on: event) } }
            try await group.waitForAll()
        }
        return events.count
    }

    private func work(on event: StoredEvent) async throws {
        let end: EndEvent
        do {
            try await handle(event)
            end = EndEvent(id: event.id, attempt: event.attempts, state: "done", error: nil, seconds: 0)
            done.add()
        } catch let error as CancellationError {
            throw error
        } catch {
            end = Self.end(event, after: error, random: .random(in: 0.5...1))
            if end.state == "dead" {
                dead.add()
                log.error("event dead", ["event": .string(event.id), "type": .string(event.type)], error: error)
            } else {
                log.warning("event retry", ["event": .string(event.id), "attempt": .integer(event.attempts)], error: error)
            }
        }
        try await settlement.pool.execute(end)
    }

    /// Decides what becomes of an event that failed: 5 s, 10 s, 20 s … an hour until the next attempt, less up to a half.
    static func end(_ event: StoredEvent, after error: any Error, random: Double) -> EndEvent {
        let isFinal =
            switch error {
            case Settlement.Failure.unknownCustomer: event.attempts >= attemptsForUnknownMax
            // An object that is gone will not come back. One of another shape may be read after an update.
            case let error as StripeError where error.isMissing: true
            default: event.attempts >= attemptsMax
            }
        let seconds = min(3_600, 5 << min(max(0, event.attempts - 1), 10))
        return EndEvent(
            id: event.id, attempt: event.attempts, state: isFinal ? "dead" : "retry", error: String("\(error)".prefix(1_000)),
            seconds: isFinal ? 0 : Int64(Double(seconds) * random))
    }

    private func handle(_ event: StoredEvent) async throws {
        let json: JSONObject
        do throws(JSONError) { json = try JSONObject(event.raw) } catch { throw StripeError.malformed("\(error)") }
        let task = try EventTask(type: event.type, object: try json.stripeObject("data").stripeObject("object"))
        switch task {
        case .session(let id): try await settlement.settleSession(id)
        case .subscription(let id): try await settlement.syncSubscription(id)
        case .invoice(let id): try await settlement.settleInvoice(id)
        case .returns(let payment): try await settlement.settleReturns(ofPayment: payment)
        case .customerDeleted(let id):
            guard try await settlement.isDeleted(customer: id) else { return }
            try await settlement.pool.execute(ForgetStripeCustomer(stripeCustomerID: id))
        case .report(let id): log.error("stripe reports a problem", ["type": .string(event.type), "object": .string(id)])
        case .nothing: break
        }
    }
}
