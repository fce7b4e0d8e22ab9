import EventLoop
import JSON
import Postgres
import Telemetry
import Values

/// Stores Stripe's events before they are acknowledged.
struct EventIntake: Sendable {
    let pool: PostgresPool
    let secrets: [[UInt8]]
    let isLive: Bool
    let clock: @Sendable () -> Instant
    let wake: @Sendable () -> Void
    let log: Logger

    /// A longer body is refused. Stripe's own events have at most some hundred kilobytes.
    static let bodyBytesMax = 1 << 20

    enum Outcome: Hashable, Sendable {
        case stored(isNew: Bool)
        case badSignature(WebhookSignature.Flaw)
        /// Signed by Stripe, and no snapshot event: the endpoint at Stripe is set up wrongly.
        case notAnEvent(String)
    }

    /// Takes the raw bytes of a delivery.
    /// - Throws: `PostgresError` if it could not be stored: Stripe delivers it again.
    func receive(_ body: [UInt8], signature: String) async throws -> Outcome {
        do throws(WebhookSignature.Flaw) {
            try WebhookSignature.check(signature, body: body, secrets: secrets, now: clock())
        } catch {
            log.warning("webhook refused", ["reason": .string("\(error)")])
            return .badSignature(error)
        }
        let event: Event
        do {
            event = try Event(body)
        } catch let error as StripeError {
            log.error("webhook endpoint misconfigured", error: error)
            return .notAnEvent("\(error)")
        }
        log.info("Received Stripe webhook", ["event": .string(event.id), "type": .string(event.type)])
        return .stored(isNew: try await store(event, body, foundBy: "webhook"))
    }

    /// Stores an event that a sweep found.
    /// - Returns: true if no delivery had brought it.
    func take(_ json: JSONObject) async throws -> Bool { try await store(try Event(json.bytes), json.bytes, foundBy: "sweep") }

    private func store(_ event: Event, _ body: [UInt8], foundBy: String) async throws -> Bool {
        let ignored = reasonToIgnore(event)
        if let ignored { log.error("event ignored", ["event": .string(event.id), "reason": .string(ignored)]) }
        // Nothing is returned for an event that a sweep finds once more.
        let isNew =
            try await pool.first(
                StoreEvent(
                    id: event.id, type: event.type, apiVersion: event.apiVersion, createdAt: event.createdAt, foundBy: foundBy, raw: body,
                    objectID: event.objectID, ignoredBecause: ignored)) ?? false
        if isNew || foundBy == "webhook" { wake() }
        return isNew
    }

    private func reasonToIgnore(_ event: Event) -> String? {
        if event.isLive != isLive { return "an event of \(event.isLive ? "live" : "test") mode" }
        if event.account != nil { return "an event of a connected account" }
        return nil
    }

    /// A snapshot event (docs.stripe.com/api/events/object).
    private struct Event {
        let id: String
        let type: String
        let apiVersion: String?
        let createdAt: Instant
        let isLive: Bool
        let account: String?
        let objectID: String?

        /// - Throws: ``StripeError/malformed(_:)``.
        init(_ body: [UInt8]) throws {
            let json: JSONObject
            do throws(JSONError) { json = try JSONObject(body) } catch { throw StripeError.malformed("no JSON object: \(error)") }
            guard try json.optionalStripeString("object") == "event" else { throw StripeError.malformed("`object` must be \"event\"") }
            id = try json.stripeString("id")
            type = try json.stripeString("type")
            guard (1...255).contains(id.utf8.count), (1...255).contains(type.utf8.count), !(id + type).utf8.contains(0) else {
                throw StripeError.malformed("`id` and `type` must have 1 to 255 bytes")
            }
            apiVersion = try json.optionalStripeString("api_version")
            createdAt = try json.stripeTime("created")
            isLive = try json.stripeBool("livemode")
            account = try json.optionalStripeString("account")
            objectID = try json.stripeObject("data").stripeObject("object").optionalStripeString("id")
        }
    }
}
