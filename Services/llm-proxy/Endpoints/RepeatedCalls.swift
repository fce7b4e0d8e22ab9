import Contracts
import Crypto
import EventLoop
import HTTP
import HTTPWire
import Identity
import Telemetry
import Uploads
import Values

/// The calls that a client can repeat: under an `Idempotency-Key`, or as the retry of an SDK.
///
/// A call under a key goes on without its client, and its answer is kept for 24 hours. A retry without a key joins
/// the same call of this replica, if its answer has not begun.
struct RepeatedCalls: Sendable {
    let store: IdempotencyStore
    let running = RunningAnswers()
    let log: Logger

    /// Makes a call to a sink, and returns the end of its answer.
    typealias Call = (any AnswerSink, ChargeID) async throws(Problem) -> CallReply

    /// The sign by which a request can be told to be a repeated one.
    enum Repetition {
        case key(IdempotencyKey)
        case request(RunningAnswers.Request, isRetry: Bool)

        var key: String? { if case .key(let key) = self { key.text } else { nil } }

        var digest: SHA256Digest {
            switch self {
            case .key(let key): key.request
            case .request(let request, _): request.digest
            }
        }
    }

    /// Answers a request that may be repeated, or repeats another one.
    /// - Returns: false for a request that cannot be repeated. Nothing was done then.
    func answer(
        _ exchange: Exchange, by caller: Principal, _ shape: any CallShape, _ call: Call
    ) async throws(Problem) -> Bool {
        switch try Self.repetition(of: exchange, by: caller) {
        case nil: return false
        case .key(let key)?: try await once(key, exchange, shape, call)
        case .request(let request, let isRetry)?: try await retried(request, isRetry: isRetry, exchange, shape, call)
        }
        return true
    }

    static func repetition(of exchange: Exchange, by caller: Principal) throws(Problem) -> Repetition? {
        if let text = exchange.headers.string(for: "idempotency-key"), !text.isEmpty {
            guard let key = IdempotencyKey(text, of: caller.accountID, request: digest(of: exchange)) else {
                throw Problem.invalidRequest(
                    "`idempotency-key` must have 1 to 255 printable ASCII characters without spaces.", param: "idempotency-key")
            }
            return .key(key)
        }
        guard let count = exchange.headers.string(for: "x-stainless-retry-count") else { return nil }
        return .request(.init(account: caller.accountID, digest: digest(of: exchange)), isRetry: count != "0")
    }

    /// A beta of Anthropic can change the answer as a member of the body can.
    private static func digest(of exchange: Exchange) -> SHA256Digest {
        let body = exchange.upload.map { upload in upload.withUnsafeBytes { sha256($0) } } ?? sha256(exchange.body)
        let betas = exchange.headers.strings(for: AnthropicBetas.field).joined(separator: ",")
        return sha256(sha256(Array(exchange.pathBytes)).bytes + body.bytes + sha256(Array(betas.utf8)).bytes)
    }

    // MARK: Under a key

    private func once(
        _ key: IdempotencyKey, _ exchange: Exchange, _ shape: any CallShape, _ call: Call
    ) async throws(Problem) {
        let charge = ChargeID.make()
        // Before the claim: a request that reads the claim can join.
        let answer = SharedAnswer(exchange, ClientSink(exchange, shape.translator()), isKept: true)
        running[charge] = answer
        defer { running[charge] = nil }
        switch try await claim(key, charge) {
        case .claimed: try await make(key, charge, answer, exchange, shape, call)
        case .otherRequest: throw .idempotencyConflict
        case .lost(let charge): throw .answerLost(charge.description)
        case .kept(let answer):
            var headers = Self.replayed(answer.charge)
            headers.add("content-type", answer.mediaType)
            headers.add("x-provider", answer.provider)
            exchange.respond(200, headers: headers, body: answer.body)
        case .running(let charge):
            guard let answer = running[charge] else { throw .idempotencyInProgress }
            try await join(answer, exchange, shape, elseThrow: .idempotencyInProgress)
        }
    }

    private func claim(_ key: IdempotencyKey, _ charge: ChargeID) async throws(Problem) -> IdempotencyClaim {
        do {
            return try await store.claim(key, for: charge)
        } catch {
            log.warning("idempotency key failed", error: error)
            throw .unavailable("The idempotency key could not be checked; retry later.")
        }
    }

    private func make(
        _ key: IdempotencyKey, _ charge: ChargeID, _ answer: SharedAnswer, _ exchange: Exchange, _ shape: any CallShape, _ call: Call
    ) async throws(Problem) {
        let touches = Reports(on: exchange.loop, every: IdempotencyStore.touchEvery) { [store] in
            Task { try? await store.touch(key, charge) }
        }
        let reply: CallReply
        do throws(Problem) { reply = try await call(answer, charge) } catch { reply = .refused(error) }
        touches.stop()
        await conclude(key, charge, reply, answer, shape)
        answer.finish(reply)
        try reply.send(to: exchange)
    }

    /// Keeps a whole answer. Frees the key of a call that cost nothing, or whose stream broke off: it may be repeated.
    private func conclude(
        _ key: IdempotencyKey, _ charge: ChargeID, _ reply: CallReply, _ answer: SharedAnswer, _ shape: any CallShape
    ) async {
        do {
            switch reply {
            case .nothing, .refused, .brokenStream: try await store.free(key, charge)
            case .unconfirmed: try await store.keep(nil, of: key, charge)
            case .whole(let headers, let body):
                try await keep(body, headers.string(for: "content-type"), key, charge, headers.string(for: "x-provider"))
            case .endOfStream(let end):
                let events = answer.keptStream.map { stream in
                    guard var translator = shape.translator() else { return stream }
                    return stream.withUnsafeBytes { translator.translate($0) }
                }
                try await keep(events.map { $0 + end }, answer.mediaType, key, charge, answer.provider)
            }
        } catch {
            log.warning("idempotency key failed", error: error)
        }
    }

    private func keep(
        _ body: [UInt8]?, _ mediaType: String?, _ key: IdempotencyKey, _ charge: ChargeID, _ provider: String?
    ) async throws {
        let kept = body.flatMap { body in
            body.count <= KeptAnswer.bytesMax
                ? KeptAnswer(mediaType: mediaType ?? "application/json", body: body, provider: provider ?? "", charge: charge) : nil
        }
        try await store.keep(kept, of: key, charge)
    }

    // MARK: Retries of SDKs

    private func retried(
        _ request: RunningAnswers.Request, isRetry: Bool, _ exchange: Exchange, _ shape: any CallShape, _ call: Call
    ) async throws(Problem) {
        if isRetry, let answer = running.answer(to: request, at: exchange.loop.now) {
            if let reply = await joined(answer, exchange, shape) { return try reply.send(to: exchange) }
        }
        let answer = SharedAnswer(exchange, ClientSink(exchange, shape.translator()), isKept: false)
        running.add(answer, to: request, at: exchange.loop.now)
        defer { running.remove(answer, to: request) }
        let reply: CallReply
        do throws(Problem) { reply = try await call(answer, .make()) } catch { reply = .refused(error) }
        answer.finish(reply)
        try reply.send(to: exchange)
    }

    // MARK: Joining

    private func join(
        _ answer: SharedAnswer, _ exchange: Exchange, _ shape: any CallShape, elseThrow problem: Problem
    ) async throws(Problem) {
        guard let reply = await joined(answer, exchange, shape) else { throw problem }
        try reply.send(to: exchange)
    }

    private func joined(_ answer: SharedAnswer, _ exchange: Exchange, _ shape: any CallShape) async -> CallReply? {
        (try? await answer.join(exchange, shape.translator())) ?? nil
    }

    private static func replayed(_ charge: ChargeID) -> HeaderBlock {
        var headers: HeaderBlock = ["idempotency-replayed": "true"]
        headers.add(Receipts.idHeader, charge.description)
        return headers
    }
}
