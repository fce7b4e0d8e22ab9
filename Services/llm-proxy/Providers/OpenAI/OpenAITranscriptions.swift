import Contracts
import JSON
import SSE

/// OpenAI's transcription. A model is sold by 30 s of sound, or by tokens that the provider reports.
struct OpenAITranscriptions: WireFormat {
    let path = "/audio/transcriptions"

    let requiresLimit = false
    let takesLimit = false

    /// The least bytes of a second of sound, 16 kbit: the hold pays for as many seconds as there are so
    /// many bytes.
    static let bytesPerSecond = 2_000

    func promptUnit(of request: ModelRequest) -> UsageUnit { .audioInput }

    func flaw(in request: ModelRequest) -> RequestFlaw? { nil }

    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw? {
        let isByTime = model.price.units.units.contains(.audio30s)
        if isByTime, request.isStreaming {
            return RequestFlaw(
                param: "stream",
                message: "The model '\(model.id)' is sold by the length of the sound, which events do not say; send stream false.")
        }
        guard !isByTime, !["json", "text", nil].contains(format(of: request)) else { return nil }
        return RequestFlaw(
            param: "response_format",
            message: "The model '\(model.id)' is sold by tokens, which only 'json' and 'text' report; send one of them.")
    }

    func units(of request: ModelRequest, for model: Catalogue.Model) throws(RequestFlaw) -> Usage? {
        guard model.price.units.units.contains(.audio30s) else { return nil }
        let bytes = request.form?.fileBytes("file") ?? 0
        var usage = Usage()
        usage[.audio30s] = Self.started30s(seconds: Int64((bytes + Self.bytesPerSecond - 1) / Self.bytesPerSecond))
        return usage
    }

    /// Returns the units of 30 s that have begun. Sound has at least one.
    static func started30s(seconds: Int64) -> Int64 { max(1, (seconds + 29) / 30) }

    private func format(of request: ModelRequest) -> String? { (try? request.json.optionalString("response_format")) ?? nil }

    /// A text is asked for as JSON, because only JSON reports usage.
    func texts(of request: ModelRequest, for model: Catalogue.Model) -> [(name: String, text: String)] {
        [("model", model.providerModel)] + (format(of: request) == "text" ? [("response_format", "json")] : [])
    }

    func mediaTypes(of request: ModelRequest) -> [String] {
        switch format(of: request) {
        case "srt": ["text/plain", "application/x-subrip", "text/srt"]
        case "vtt": ["text/plain", "text/vtt"]
        default: ["application/json"]
        }
    }

    /// Every request is a form.
    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] { [] }

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        if ["srt", "vtt"].contains(context.format), let json = try? JSONObject(Array("{}".utf8)) {
            // Subtitles of silence have a head, and no times.
            let hasWords = String(decoding: body, as: UTF8.self).contains("-->")
            var answer = WholeAnswer(json: json, contentBytes: Int64(body.count), hasUncountedResult: hasWords)
            (answer.seconds, answer.text) = (Subtitles.seconds(of: body), body)
            return answer
        }
        guard let json = try? JSONObject(body), !json.has("error"), let text = try? json.string("text") else {
            throw ProviderFailure(.wrongAnswer("with something else than a transcription"))
        }
        let usage = json.raw("usage")
        var answer = WholeAnswer(
            json: json, reported: usage.flatMap { $0.withUnsafeBytes { Usage(transcription: JSONScan($0)) } },
            contentBytes: Int64(text.utf8.count), hasUncountedResult: !text.isEmpty)
        answer.seconds = Self.seconds(of: json)
        if context.format == "text" { answer.text = Array((text + "\n").utf8) }
        return answer
    }

    /// Returns the length that an answer reports, rounded up.
    private static func seconds(of json: JSONObject) -> Int64? {
        let usage = try? json.optionalObject("usage")
        let texts = [try? usage?.optionalDecimalText("seconds"), try? json.optionalDecimalText("duration")]
        guard let text = texts.lazy.compactMap({ $0 ?? nil }).first, let seconds = Double(text), (0...1_000_000).contains(seconds) else {
            return nil
        }
        return Int64(seconds.rounded(.up))
    }

    func reader(_ context: AnswerContext) -> any EventReader { OpenAITranscriptionEvents() }
}

/// Reads `transcript.text.delta` and `transcript.text.done`.
struct OpenAITranscriptionEvents: EventReader {
    private var isDone = false

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone, let data = event.data, !data.isEmpty else { return StreamEvent(output: .nothing) }
        let json = JSONScan(data)
        guard json.isObject else { return .failed(.wrongAnswer("with an event that is no JSON object")) }
        switch json["type"]?.string {
        case "transcript.text.delta":
            let bytes = json["delta"].map { OpenAIContent.bytes(ofValue: $0.bytes) } ?? 0
            return StreamEvent(choicesWithContent: bytes > 0 ? 1 : 0, contentBytes: Int64(bytes))
        case "transcript.text.done":
            isDone = true
            let usage = json["usage"].flatMap { Usage(transcription: $0) }
            return StreamEvent(output: .nothing, usage: usage, usageChunk: Array(data), isEnd: true)
        case "error": return .failed(.failedMidStream)
        default: return StreamEvent()
        }
    }
}

/// The length of subtitles: their last time.
enum Subtitles {
    /// Returns the time after the last `-->` in seconds, rounded up. Nil without one.
    static func seconds(of text: [UInt8]) -> Int64? {
        guard let arrow = String(decoding: text, as: UTF8.self).ranges(of: "-->").last else { return nil }
        let rest = String(decoding: text, as: UTF8.self)[arrow.upperBound...].drop { $0 == " " }
        let time = rest.prefix { $0.isNumber || [":", ",", "."].contains($0) }
        let parts = time.split(separator: ":")
        guard (2...3).contains(parts.count), let last = Double(parts[parts.count - 1].replacing(",", with: ".")), (0..<60).contains(last)
        else {
            return nil
        }
        var seconds: Int64 = 0
        for part in parts.dropLast() {
            guard let value = Int64(part), (0...1_000_000).contains(value) else { return nil }
            seconds = seconds * 60 + value
        }
        return seconds * 60 + Int64(last.rounded(.up))
    }
}

extension Usage {
    /// Reads the `usage` member of a transcription by tokens.
    init?(transcription usage: JSONScan) {
        self.init(openAI: usage, .responses)
        move(usage["input_token_details"]?["audio_tokens"]?.integer, from: .input, to: .audioInput)
    }
}
