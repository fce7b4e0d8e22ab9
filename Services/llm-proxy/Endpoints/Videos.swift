import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import UpstreamClient
import Values

/// `/v1/videos`: videos as jobs, in OpenAI's shape. Only `POST` costs credits.
struct Videos: Sendable {
    let services: CallServices
    let catalogue: CurrentCatalogue
    let store: VideoStore
    let topUpURL: String

    /// The longest time for the bytes of a video.
    private static let contentWithin = Duration.seconds(3_600)
    /// The longest pause before a job is stored again. All pauses together are shorter than ``VideoJob/begunWithin``.
    private static let notePauseMax = Duration.seconds(64)

    // MARK: POST

    /// Holds the price, asks the provider, and answers with the job, which goes on without the client.
    func create(_ exchange: Exchange, _ context: RequestContext, _ caller: Principal) async throws {
        let order = try VideoOrder(exchange)
        let model = try model(of: order)
        let repetition = try RepeatedCalls.repetition(of: exchange, by: caller)
        if try await repeated(repetition, exchange, caller) { return }
        let job = try job(order, model, exchange, context, caller, repetition)
        let messages = MessageContext(conversationID: job.conversation, trace: context.trace)
        // A client without a key may repeat its order: then only the repeated one counts.
        let hasLeft = { job.idempotencyKey == nil && exchange.isClosed }
        let questions = HoldQuestions(services: services, principal: caller, charge: job.charge, context: messages)
        if !job.isSkipped, try await !hold(job, exchange, questions, hasLeft: hasLeft) { return }
        guard !hasLeft() else { return await free(job, caller, messages) }
        do {
            guard try await store.add(job) else {
                // Another request with this key was faster.
                await free(job, caller, messages)
                guard try await repeated(repetition, exchange, caller) else { throw Problem.idempotencyInProgress }
                return
            }
        } catch {
            // Nothing was asked of the provider.
            await free(job, caller, messages)
            throw error
        }
        if !job.isSkipped { services.ledger.prolong(.init(charge: job.charge, account: job.account, conversation: job.conversation)) }
        Self.send(try await submit(job, order, to: model, caller), to: exchange)
    }

    /// Answers with the job that an earlier request made.
    /// - Returns: false if no earlier request made this job.
    private func repeated(_ repetition: RepeatedCalls.Repetition?, _ exchange: Exchange, _ caller: Principal) async throws -> Bool {
        let found: VideoJob?
        switch repetition {
        case nil, .request(_, isRetry: false)?: return false
        case .key(let key)?:
            found = try await store.find(key: key.text, of: caller.accountID)
            if let found, found.request != key.request { throw Problem.idempotencyConflict }
        case .request(let request, isRetry: true)?: found = try await store.findOpen(request.digest, of: caller.accountID)
        }
        guard let found else { return false }
        exchange.commonHeaders.add("idempotency-replayed", "true")
        Self.send(found, to: exchange)
        return true
    }

    private func model(of order: VideoOrder) throws(Problem) -> Catalogue.Model {
        var generator = SystemRandomNumberGenerator()
        let catalogue = catalogue.current
        let routes = catalogue.routes(to: order.model, using: &generator)
        guard let first = routes.first else { throw catalogue.problem(of: order.model) }
        guard let model = routes.first(where: { $0.surfaces.contains(.videos) && $0.provider.kind == OpenAIVideos.kind }) else {
            throw Problem.wrongSurface(.videos, of: first)
        }
        return model
    }

    private func job(
        _ order: VideoOrder, _ model: Catalogue.Model, _ exchange: Exchange, _ context: RequestContext, _ caller: Principal,
        _ repetition: RepeatedCalls.Repetition?
    ) throws(Problem) -> VideoJob {
        let usage = try order.usage(of: model)
        guard let amount = model.price.credits(for: usage), amount <= CallBound.amountMax else {
            throw Problem.invalidRequest("The video costs more than one charge can hold; ask for a shorter one.", param: "seconds")
        }
        let operation: String?
        do throws(RequestRefusal) {
            operation = try CallRequest.operation(exchange.headers.string(for: "x-operation"))
        } catch {
            throw Problem(error)
        }
        let charge = ChargeID.make()
        let facts = CallFacts(
            model: model.id, provider: model.provider.name, usage: usage.metered, isEstimated: false, end: .completed,
            priceVersion: model.price.version, costPicoUSD: model.price.cost(of: usage)?.value,
            operation: services.shared.operations.recorded(operation, of: caller.accountID, at: .now()), apiKeyID: caller.apiKeyID,
            service: caller.service)
        return VideoJob(
            charge: charge, account: caller.accountID,
            conversation: ConversationID(context.requestID) ?? ConversationID(rawValue: charge.rawValue), state: .submitting,
            amount: amount,
            isSkipped: caller.service != nil && services.shared.skipsServiceCalls, call: facts, idempotencyKey: repetition?.key,
            request: repetition?.digest, createdAt: .now())
    }

    /// - Returns: false if the client left before the ledger decided.
    private func hold(
        _ job: VideoJob, _ exchange: Exchange, _ questions: HoldQuestions, hasLeft: () -> Bool
    ) async throws -> Bool {
        let held = max(job.amount, Credits(nano: 1))
        if job.idempotencyKey == nil { exchange.onClose = { questions.services.shared.funds.leave(questions.asker) } }
        defer { exchange.onClose = nil }
        let reply: HoldReply?
        do {
            reply = try await questions.place(HoldAmounts(most: held, usual: held, least: held), takesShare: false, hasLeft: hasLeft)
        } catch {
            services.log.warning("hold request failed", error: error, trace: questions.context.trace)
            throw Problem.ledgerUnavailable
        }
        guard let reply else { return false }
        if let refusal = HoldRefusal(reply, least: held) { throw refusal.problem(topUpURL: topUpURL) }
        return true
    }

    private func free(_ job: VideoJob, _ caller: Principal, _ messages: MessageContext) async {
        guard !job.isSkipped else { return }
        _ = await services.ledger.void(job.charge, for: caller, because: "no video was asked for", in: messages)
    }

    private func submit(_ job: VideoJob, _ order: VideoOrder, to model: Catalogue.Model, _ caller: Principal) async throws -> VideoJob {
        var job = job
        do throws(ProviderFailure) {
            let made = try await services.providers.makeVideo(try order.body(for: model), at: model.provider)
            (job.providerJob, job.answer, job.state) = (made.id, made.answer, .running)
        } catch {
            // A video that is made nevertheless cannot be followed without the provider's id.
            services.log.warning(
                "video not begun",
                ["charge.id": .describing(job.charge), "provider": .string(model.provider.name), "reason": .string(error.description)])
            if try await store.end(job, .failed, answer: nil, because: "the provider began no video") {
                services.shared.note(job.receipt(.failed))
            }
            throw error.problem(of: model.provider.name, on: .videos)
        }
        if try await note(job) { return job }
        return try await store.find(job.charge, of: caller.accountID)?.job ?? job
    }

    /// Stores what the provider said of a new job. Without its id the video would be lost, so an outage of the
    /// database is waited for.
    /// - Returns: false if the job has ended meanwhile.
    private func note(_ job: VideoJob) async throws -> Bool {
        var pause = Duration.seconds(1)
        while true {
            do {
                return try await store.note(job)
            } catch {
                guard pause <= Self.notePauseMax else {
                    services.log.error(
                        "video not stored",
                        [
                            "charge.id": .describing(job.charge), "provider": .string(job.call.provider),
                            "provider.job": .string(job.providerJob ?? ""),
                        ], error: error)
                    throw error
                }
                try await services.loop.sleep(for: pause)
                pause = pause * 2
            }
        }
    }

    // MARK: The other methods

    func show(_ request: Request, caller: Principal) async throws -> Response {
        Self.answer(try await find(request.pathParameters, caller).job)
    }

    /// Lists the jobs of the account, newest first.
    func list(_ request: Request, caller: Principal) async throws -> Response {
        let count = try request.query.integer("limit", default: 20, in: 1...100)
        guard [nil, "desc"].contains(try request.query.optionalString("order")) else {
            throw Problem.invalidRequest("order must be desc: videos are listed newest first.", param: "order")
        }
        var after: ChargeID?
        if let text = try request.query.optionalString("after") {
            guard let charge = VideoJob.charge(of: text) else {
                throw Problem.invalidRequest("after must be the id of a video.", param: "after")
            }
            after = charge
        }
        let jobs = try await store.list(caller.accountID, after: after, count: Int64(count) + 1)
        return .object(200) { list in
            list.field("object", "list")
            list.array("data") { data in for job in jobs.prefix(count) { data.raw(Self.describe(job)) } }
            list.field("first_id", jobs.first?.id)
            list.field("last_id", jobs.prefix(count).last?.id)
            list.field("has_more", jobs.count > count)
        }
    }

    /// Passes the bytes of a completed video on.
    func content(_ exchange: Exchange, _ context: RequestContext, _ caller: Principal) async throws {
        let found = try await find(context.pathParameters, caller)
        let variant = try Query(exchange.queryBytes).optionalString("variant")
        guard [nil, "video", "thumbnail", "spritesheet"].contains(variant) else {
            throw Problem.invalidRequest("variant must be video, thumbnail or spritesheet.", param: "variant")
        }
        guard found.job.state == .completed, let id = found.job.providerJob else {
            throw Problem.conflict("The video is not complete; its status says how far it is.")
        }
        let answer: UpstreamResponse
        do throws(ProviderFailure) {
            answer = try await services.providers.videoContent(id, variant: variant, of: found.provider)
        } catch {
            throw error.problem(of: found.provider.name, on: .videos)
        }
        await pass(answer, of: found.provider, to: exchange)
    }

    private func pass(_ answer: UpstreamResponse, of provider: Catalogue.Provider, to exchange: Exchange) async {
        guard !exchange.isClosed else { return answer.cancel() }
        exchange.onClose = { answer.cancel() }
        exchange.onDrain = { answer.resume() }
        let longest = services.loop.schedule(after: Self.contentWithin) { answer.cancel() }
        defer {
            services.loop.cancel(longest)
            (exchange.onClose, exchange.onDrain) = (nil, nil)
        }
        var headers: HeaderBlock = ["content-type": answer.headers.string(for: "content-type") ?? "application/octet-stream"]
        headers.add("x-provider", provider.name)
        exchange.begin(200, headers: headers)
        do throws(UpstreamError) {
            try await answer.pipe { bytes in
                exchange.write(bytes)
                if exchange.isBackpressured { answer.pause() }
            }
            exchange.end()
        } catch {
            // The head has gone: the client sees an answer that ends early.
            services.log.warning("video content broke off", ["provider": .string(provider.name)], error: error)
            exchange.abort()
        }
    }

    /// Deletes a video that has an outcome, at its provider too.
    func delete(_ request: Request, caller: Principal) async throws -> Response {
        let found = try await find(request.pathParameters, caller)
        guard !found.job.state.isOpen else { throw Problem.conflict("The video is still being made; delete it once it has an outcome.") }
        if let id = found.job.providerJob {
            do throws(ProviderFailure) {
                try await services.providers.deleteVideo(id, of: found.provider)
            } catch {
                throw error.problem(of: found.provider.name, on: .videos)
            }
        }
        try await store.delete(found.job.charge)
        return .object(200) { json in
            json.field("id", found.job.id)
            json.field("object", "video.deleted")
            json.field("deleted", true)
        }
    }

    /// - Throws: 404 for a video of another account, as for one that never was.
    private func find(_ path: PathParameters, _ caller: Principal) async throws -> FindVideo.Output {
        guard let charge = VideoJob.charge(of: path["id"]), let found = try await store.find(charge, of: caller.accountID) else {
            throw Problem.notFound("This video")
        }
        return found
    }

    // MARK: Answers

    private static func send(_ job: VideoJob, to exchange: Exchange) {
        let answer = answer(job)
        exchange.respond(answer.status, headers: answer.headers, body: answer.body)
    }

    private static func answer(_ job: VideoJob) -> Response {
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add(Receipts.idHeader, job.charge.description)
        headers.add("x-provider", job.call.provider)
        headers.add("x-credits-used", job.used.description)
        return Response(status: 200, headers: headers, body: describe(job))
    }

    /// Returns the provider's description with the gateway's id, model and state, and what it cost.
    private static func describe(_ job: VideoJob) -> [UInt8] {
        var members = [
            ("id", text(job.id)), ("object", text("video")), ("model", text(job.call.model)),
            ("created_at", Array(String(job.createdAt.seconds).utf8)), ("status", text(status(of: job))),
        ]
        if let error = error(of: job) { members.append(("error", error)) }
        // The provider's own figures of usage would contradict ours.
        members.append(("usage", usage(of: job)))
        guard let told = job.answer else {
            return JSONWriter.object { json in for (name, raw) in members { json.field(name, raw: raw) } }
        }
        var splice = JSONSplice(told)
        for (name, raw) in members { splice.set(name, raw: raw) }
        return splice.apply()
    }

    private static func status(of job: VideoJob) -> String {
        switch job.state {
        case .submitting: "queued"
        case .running: (try? job.answer?.string("status")) == "queued" ? "queued" : "in_progress"
        case .completed: "completed"
        case .failed, .lost: "failed"
        }
    }

    /// Returns the error of a job whose provider told none.
    private static func error(of job: VideoJob) -> [UInt8]? {
        let error: (code: String, message: String)
        switch job.state {
        case .lost: error = ("no_outcome", "The provider reported no outcome within a day.")
        case .failed where job.providerJob == nil: error = ("not_begun", "The provider did not begin this video.")
        default: return nil
        }
        return JSONWriter.object { json in
            json.field("code", error.code)
            json.field("message", error.message)
        }
    }

    private static func usage(of job: VideoJob) -> [UInt8] {
        JSONWriter.object { usage in
            usage.field("credits_used", raw: job.used.description.utf8)
            if job.state.isOpen, !job.isSkipped { usage.field("credits_held", raw: job.amount.description.utf8) }
        }
    }

    private static func text(_ value: String) -> [UInt8] {
        var json = JSONWriter()
        json.string(value)
        return json.bytes
    }
}

extension VideoJob {
    /// The credits that the video cost.
    fileprivate var used: Credits { state == .completed && !isSkipped ? amount : .zero }
}
