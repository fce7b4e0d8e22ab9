import Contracts
import JSON
import SSE

/// OpenAI's speech. A model that is sold by characters or calls answers with bytes of sound. One that is
/// sold by tokens answers with events, because only they report usage.
struct OpenAISpeech: WireFormat {
    let path = "/audio/speech"

    let requiresLimit = false
    let takesLimit = false

    static let priced = PricedMembers([("stream", .onlyFalse)])

    func promptUnit(of request: ModelRequest) -> UsageUnit { .input }
    func answerUnits(of request: ModelRequest) -> [UsageUnit] { [.audioOutput] }

    func flaw(in request: ModelRequest) -> RequestFlaw? { Self.priced.flaw(in: request.json) }

    func units(of request: ModelRequest, for model: Catalogue.Model) throws(RequestFlaw) -> Usage? {
        let unit: UsageUnit? = [.character, .request].first { model.price.units.units.contains($0) }
        guard (unit != nil) == request.isBinary else {
            let format = request.isBinary ? "sse" : "audio"
            throw RequestFlaw(
                param: "stream_format", message: "The model '\(model.id)' is sold with stream_format '\(format)' only; send it.")
        }
        guard let unit else { return nil }
        var usage = Usage()
        usage[unit] = unit == .character ? Int64((try? request.json.string("input"))?.unicodeScalars.count ?? 0) : 1
        return usage
    }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] { request.splice(for: model).apply() }

    /// No answer is in one piece.
    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        throw ProviderFailure(.wrongAnswer("in one piece"))
    }

    func reader(_ context: AnswerContext) -> any EventReader { OpenAISpeechEvents() }
}

/// Reads `speech.audio.delta` and `speech.audio.done`. Each event of sound counts as one token until the
/// provider reports usage, because the bytes say nothing of the tokens.
struct OpenAISpeechEvents: EventReader {
    /// An event has up to some seconds of sound in base64.
    var eventBytesMax: Int { 4 << 20 }

    private var isDone = false

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone, let data = event.data, !data.isEmpty else { return StreamEvent(output: .nothing) }
        let json = JSONScan(data)
        guard json.isObject else { return .failed(.wrongAnswer("with an event that is no JSON object")) }
        switch json["type"]?.string {
        case "speech.audio.delta":
            let hasSound = json["audio"].map { OpenAIContent.bytes(ofValue: $0.bytes) > 0 } ?? false
            return StreamEvent(choicesWithContent: hasSound ? 1 : 0)
        case "speech.audio.done":
            isDone = true
            let usage = json["usage"].flatMap { Usage(speech: $0) }
            return StreamEvent(output: .nothing, usage: usage, usageChunk: Array(data), isEnd: true)
        case "error": return .failed(.failedMidStream)
        default: return StreamEvent()
        }
    }
}

extension Usage {
    /// Reads the `usage` member of speech: the answer's tokens are sound.
    fileprivate init?(speech usage: JSONScan) {
        self.init(openAI: usage, .responses)
        move(self[.output], from: .output, to: .audioOutput)
    }
}
