import Configuration
import EventLoop
import HTTPClient
import JSON
import Telemetry
import Values

/// Stripe's API over HTTPS, at the pinned version, with retries under one idempotency key.
///
/// The secret key is in the header `Authorization` only. Logs have Stripe's request ids.
struct StripeClient: Sendable {
    /// Sent with each call. Objects have the shape of this version, whatever the account's default is.
    static let version = "2026-08-26.dahlia"
    /// The longest list that is kept in memory, in pages of 100.
    private static let pagesMax = 200

    private let http: HTTPClient
    private let loop: EventLoop
    private let base: String
    private let key: Secret
    private let pace: RequestPace
    private let log: Logger
    /// Attempts of one call, the first included.
    private let attemptsMax: Int
    private let timeout: Duration

    init(
        http: HTTPClient, loop: EventLoop, base: String, key: Secret, log: Logger, pace: RequestPace, attemptsMax: Int = 3,
        timeout: Duration = .seconds(10)
    ) {
        (self.http, self.loop, self.base, self.key, self.log, self.pace) = (http, loop, base, key, log, pace)
        (self.attemptsMax, self.timeout) = (attemptsMax, timeout)
    }

    /// Reads an object.
    func get(_ path: String, _ query: StripeForm = [:]) async throws -> JSONObject {
        try await send("GET", query.isEmpty ? path : "\(path)?\(query.encoded)", form: nil, idempotencyKey: nil)
    }

    /// Reads a list to its end, newest first, page by page.
    func list(_ path: String, _ query: StripeForm, _ take: ([JSONObject]) async throws -> Void) async throws {
        var after: String?
        while true {
            try Task.checkCancellation()
            var paged = query.appending("limit", "100")
            if let after { paged.append("starting_after", after) }
            let page = try StripeList(try await get(path, paged))
            try await take(page.data)
            guard page.hasMore, let last = page.data.last else { return }
            after = try last.stripeString("id")
        }
    }

    /// Reads a whole list, newest first.
    /// - Throws: ``StripeError/malformed(_:)`` for more than 20,000 objects.
    func all(_ path: String, _ query: StripeForm) async throws -> [JSONObject] {
        var found: [JSONObject] = []
        try await list(path, query) { page in
            found += page
            guard found.count <= Self.pagesMax * 100 else { throw StripeError.malformed("\(path) is too long") }
        }
        return found
    }

    /// Changes something. The caller has committed key and form before.
    /// - Parameter form: encoded, as ``StripeForm/encoded`` gives it.
    func post(_ path: String, form: String, idempotencyKey: String) async throws -> JSONObject {
        try await send("POST", path, form: form, idempotencyKey: idempotencyKey)
    }

    /// Deletes something. A repetition finds it deleted.
    func delete(_ path: String, _ form: StripeForm = [:]) async throws -> JSONObject {
        try await send("DELETE", path, form: form.encoded, idempotencyKey: nil)
    }

    // MARK: One call

    private func send(_ method: String, _ path: String, form: String?, idempotencyKey: String?) async throws -> JSONObject {
        var request = ClientRequest(method, base + path, headers: headers(idempotencyKey), body: form.map { Array($0.utf8) })
        if form != nil { request.headers.append(("Content-Type", "application/x-www-form-urlencoded")) }
        request.timeout = timeout
        var number = 1
        while true {
            guard let wait = pace.takePlace() else { throw StripeError.unavailable("too many calls wait for their turn") }
            if wait > .zero { try await loop.sleep(for: wait) }
            let (attempt, result) = await attempt(request, path)
            guard case .failure(let error) = result else { return try result.get() }
            guard number < attemptsMax, StripeRetry.isWorthRepeating(attempt) else { throw error }
            log.warning("stripe call retry", ["path": .string(Self.withoutQuery(path)), "attempt": .integer(number)], error: error)
            try await loop.sleep(for: StripeRetry.pause(after: attempt, number: number, random: .random(in: 0...1)))
            number += 1
        }
    }

    private func headers(_ idempotencyKey: String?) -> [(name: String, value: String)] {
        var headers = [("Authorization", "Bearer \(key.reveal())"), ("Stripe-Version", Self.version)]
        if let idempotencyKey { headers.append(("Idempotency-Key", idempotencyKey)) }
        return headers
    }

    private func attempt(_ request: ClientRequest, _ path: String) async -> (StripeRetry.Attempt, Result<JSONObject, any Error>) {
        let answer: ClientResponse
        do {
            answer = try await http.request(request)
        } catch let error as ClientError {
            let neverSent = [.badRequest, .connectFailed, .tlsFailed].contains(error.code)
            return (
                StripeRetry.Attempt(status: nil, neverSent: neverSent),
                .failure(neverSent ? StripeError.unavailable("\(error.code)") : .outcomeUnknown("\(error.code)"))
            )
        } catch {
            return (StripeRetry.Attempt(status: 400), .failure(error))
        }
        let attempt = StripeRetry.Attempt(
            status: answer.status, shouldRetry: answer.header("stripe-should-retry").flatMap { Bool($0) },
            retryAfter: answer.header("retry-after").flatMap { Int($0) })
        let requestID = answer.header("request-id") ?? "no request id"
        log.debug(
            "stripe call", ["path": .string(Self.withoutQuery(path)), "status": .integer(answer.status), "request_id": .string(requestID)])
        return (attempt, Self.outcome(of: answer, requestID))
    }

    private static func outcome(of answer: ClientResponse, _ requestID: String) -> Result<JSONObject, any Error> {
        let json: JSONObject
        do throws(JSONError) {
            json = try JSONObject(answer.body)
        } catch {
            let problem = "status \(answer.status), \(error) [\(requestID)]"
            return .failure(answer.status >= 500 ? StripeError.outcomeUnknown(problem) : .malformed(problem))
        }
        guard !(200...299).contains(answer.status) else { return .success(json) }
        let refusal = StripeRefusal(json, status: answer.status, requestID: requestID)
        return switch answer.status {
        case 429: .failure(StripeError.unavailable("\(refusal)"))
        case 409 where refusal.code == "idempotency_key_in_use" || refusal.code == "lock_timeout":
            .failure(StripeError.outcomeUnknown("\(refusal)"))
        // Stripe keeps the first answer of a key. Only another key gets another answer.
        case 500... where answer.header("idempotent-replayed") == "true": .failure(StripeError.refused(refusal))
        case 500...: .failure(StripeError.outcomeUnknown("\(refusal)"))
        default: .failure(StripeError.refused(refusal))
        }
    }

    private static func withoutQuery(_ path: String) -> String { String(path.prefix { $0 != "?" }) }
}

extension StripeRefusal {
    fileprivate init(_ json: JSONObject, status: Int, requestID: String) {
        let error = (try? json.optionalObject("error")) ?? nil
        func text(_ name: String) -> String? { (try? error?.optionalString(name)) ?? nil }
        self.init(
            status: status, type: text("type") ?? "unknown_type", code: text("code") ?? "unknown_code",
            message: text("message") ?? "no message",
            param: text("param"), requestID: requestID)
    }
}
