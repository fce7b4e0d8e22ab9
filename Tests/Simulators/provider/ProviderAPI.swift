import EventLoop
import HTTP
import HTTPWire
import JSON
import Synchronization

/// The simulator's routes. Works on exchanges: it shares the machine with what it measures.
final class ProviderAPI: Sendable {
    private let statistics = Statistics()
    /// The body of the last call of a model.
    private let lastRequest = Mutex<[UInt8]>([])
    private let videos = VideoJobs()

    func serve(_ exchange: Exchange) async {
        switch (exchange.method, exchange.path) {
        case (.post, "/v1/chat/completions"): await complete(exchange, ChatCompletion.self)
        case (.post, "/v1/messages"): await complete(exchange, SimulatedMessage.self)
        case (.post, "/v1/messages/count_tokens"): countTokens(exchange)
        case (.post, "/v1/responses"): await complete(exchange, ResponseAnswer.self)
        case (.post, "/v1/embeddings"): await complete(exchange, EmbeddingList.self)
        case (.post, "/v1/completions"): await complete(exchange, TextCompletion.self)
        case (.post, "/v1/images/generations"): await complete(exchange, PictureList.self)
        case (.post, "/v1/images/edits"): await complete(exchange, PictureList.self)
        case (.post, "/v1/audio/transcriptions"): await complete(exchange, Transcript.self)
        case (.post, "/v1/audio/speech"): await complete(exchange, SpokenText.self)
        case (.get, "/v1/models"):
            guard ChatCompletion.isAuthorised(exchange.headers) else {
                return refuse(exchange, ChatCompletion.self, 401, "invalid_request_error", "invalid_api_key")
            }
            answer(exchange) { json in
                json.field("object", "list")
                json.array("data") { list in
                    for model in Scenario.models {
                        list.object { entry in
                            entry.field("id", model)
                            entry.field("object", "model")
                            entry.field("created", 1_750_000_000)
                            entry.field("owned_by", "simulator")
                        }
                    }
                }
            }
        case (.get, "/stats"):
            answer(exchange) { json in
                let counts = statistics.counts
                json.field("calls", counts.finished + counts.aborted + counts.active)
                json.field("finished", counts.finished)
                json.field("aborted", counts.aborted)
                json.field("active", counts.active)
                let tokens = statistics.tokens
                json.field("prompt_tokens", tokens.prompt)
                json.field("completion_tokens", tokens.completion)
            }
        case (.get, "/last-request"): exchange.respond(200, headers: Self.json, body: lastRequest.withLock { $0 })
        case (.post, "/reset"):
            statistics.reset()
            exchange.respond(204)
        case (.get, "/livez"), (.get, "/readyz"): answer(exchange) { $0.field("status", "ready") }
        case (_, let path) where path.hasPrefix("/v1/videos"):
            let answer = videos.answer(exchange)
            exchange.respond(answer.status, headers: answer.headers, body: answer.body)
        default: refuse(exchange, ChatCompletion.self, 404, "invalid_request_error", "unknown_url")
        }
    }

    private func answer(_ exchange: Exchange, _ write: (inout JSONWriter) -> Void) {
        exchange.respond(200, headers: Self.json, body: JSONWriter.object(write))
    }

    private func countTokens(_ exchange: Exchange) {
        lastRequest.withLock { $0 = exchange.body }
        guard SimulatedMessage.isAuthorised(exchange.headers) else {
            return refuse(exchange, SimulatedMessage.self, 401, "authentication_error", "invalid_api_key")
        }
        do {
            var splice = JSONSplice(try JSONObject(exchange.body))
            splice.set("max_tokens", raw: Array("1".utf8))
            let request = try SimulatedMessage.request(splice.apply())
            answer(exchange) { $0.field("input_tokens", request.promptTokens) }
        } catch {
            refuse(exchange, SimulatedMessage.self, 400, "invalid_request_error", "invalid_json", message: "\(error)")
        }
    }

    private func refuse(
        _ exchange: Exchange, _ shape: (some SimulatedAnswer).Type, _ status: Int, _ type: String, _ code: String, message: String? = nil
    ) {
        var headers = Self.json
        if status == 429 { headers.add("retry-after", "1") }
        let message = message ?? "The simulator was asked for \(status) \(code)."
        exchange.respond(status, headers: headers, body: shape.refusal(type: type, code: code, message: message))
    }

    private static let json: HeaderBlock = ["content-type": "application/json"]

    // MARK: Answers

    private func complete<Answer: SimulatedAnswer>(_ exchange: Exchange, _ shape: Answer.Type) async {
        let call = statistics.begin()
        lastRequest.withLock { $0 = exchange.body }
        exchange.onClose = { call.abort() }
        defer { exchange.isClosed && !exchange.hasEnded ? call.abort() : call.finish() }
        guard shape.isAuthorised(exchange.headers) else { return refuse(exchange, shape, 401, "invalid_request_error", "invalid_api_key") }
        do {
            let request = try shape.request(exchange.body, contentType: exchange.headers.string(for: "content-type") ?? "")
            guard var scenario = Scenario(model: request.model) else {
                return refuse(exchange, shape, 404, "invalid_request_error", "model_not_found")
            }
            if !exchange.queryBytes.isEmpty { try scenario.apply(Query(exchange.queryBytes)) }
            if scenario.firstByteMilliseconds > 0 { try await pause(exchange, .milliseconds(scenario.firstByteMilliseconds)) }
            let answer = Answer(request, scenario)
            switch scenario.fate {
            case .refuses(let status, let type, let code): refuse(exchange, shape, status, type, code)
            case .hangs: try await pause(exchange, .seconds(3_600))
            case .dies: try await die(exchange, answer, isStream: request.streams, call)
            case .answers where request.streams: try await stream(exchange, answer, pieces: answer.pieces, whole: request)
            case .answers:
                statistics.made(prompt: request.promptTokens, completion: answer.pieces)
                var headers = HeaderBlock()
                headers.add("content-type", answer.mediaType)
                exchange.respond(200, headers: headers, body: answer.body)
            }
        } catch {
            if exchange.status == 0, !exchange.isClosed {
                refuse(exchange, shape, 400, "invalid_request_error", "invalid_json", message: "\(error)")
            }
        }
    }

    /// Half of the answer, time for it to leave, and no end.
    private func die(_ exchange: Exchange, _ answer: some SimulatedAnswer, isStream: Bool, _ call: Statistics.Call) async throws {
        if isStream {
            try await stream(exchange, answer, pieces: answer.pieces / 2, whole: nil)
        } else {
            let body = answer.body
            exchange.begin(200, headers: Self.json)
            exchange.write(Array(body[..<(body.count / 2)]))
        }
        try await pause(exchange, .milliseconds(20))
        guard !exchange.isClosed else { return }
        call.finish()
        exchange.abort()
    }

    /// - Parameter request: the request of an answer that is sent to its end.
    private func stream(
        _ exchange: Exchange, _ answer: some SimulatedAnswer, pieces: Int, whole request: SimulatedRequest?
    ) async throws {
        var headers: HeaderBlock = ["cache-control": "no-cache"]
        headers.add("content-type", answer.streamType)
        exchange.begin(200, headers: headers)
        exchange.write(answer.firstEvents)
        if answer.scenario.perSecond > 0 {
            try await PacedStream(exchange, answer, pieces: pieces).run()
        } else {
            var event: [UInt8] = []
            for index in 0..<pieces {
                answer.event(index, into: &event)
                exchange.write(event)
                if exchange.isBackpressured, try await !exchange.drained() { return }
            }
        }
        guard let request, !exchange.isClosed else { return }
        statistics.made(prompt: request.promptTokens, completion: pieces)
        exchange.write(answer.lastEvents)
        exchange.end()
    }

    /// Waits, but not for a client that has gone.
    private func pause(_ exchange: Exchange, _ time: Duration) async throws {
        let wait = Promise<Void>(on: exchange.loop)
        let outer = exchange.onClose
        defer { exchange.onClose = outer }
        exchange.onClose = {
            outer?()
            wait.succeed(())
        }
        try await wait.value(within: time, elseReturn: ())
    }
}
