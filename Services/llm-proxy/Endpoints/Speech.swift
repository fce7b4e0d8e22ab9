import HTTP
import JSON
import SSE

/// `POST /v1/audio/speech`: OpenAI's shape. The answer is sound, or events with `stream_format: "sse"`.
struct Speech: CallShape {
    private static let ours: [StaticString] = OpenAISpeech.priced.names + ["model", "input", "stream_format"]

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        let json = try CallRequest.parse(body, ours: Self.ours)
        let model = try CallRequest.modelName(of: json)
        let (text, format): (String, String?)
        do throws(JSONError) { (text, format) = (try json.string("input"), try json.optionalString("stream_format")) } catch {
            throw .json(error)
        }
        guard !text.isEmpty else { throw .invalid(param: "input", message: "input must not be empty.") }
        guard [nil, "audio", "sse"].contains(format) else {
            throw .invalid(param: "stream_format", message: "stream_format must be 'audio' or 'sse'.")
        }
        var request = ModelRequest(
            surface: .speech, json: json, model: model, isStreaming: true, includeUsage: true, choices: 1, pictures: 0)
        request.isBinary = format != "sse"
        return CallRequest(
            modelRequest: request, prompt: PromptSize(textBytes: Int64(json.decodedCount), messages: 1, pictures: 0))
    }

    // No answer is in one piece.
    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { [] }

    /// Returns the provider's last event with what the call cost. Sound has no such event.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        guard let event = usageChunk.flatMap({ try? JSONObject($0) }) else { return [] }
        return SSEEvent.encode(ResponseUsage.adding(receipt, to: event, .responses))
    }

    func event(of problem: Problem) -> [UInt8] { SSEEvent.encode(problem.body) }
}
