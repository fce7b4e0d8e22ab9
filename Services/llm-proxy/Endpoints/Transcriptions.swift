import HTTP
import JSON
import SSE

/// `POST /v1/audio/transcriptions`: OpenAI's form.
struct Transcriptions: CallShape {
    private static let ours: [StaticString] = ["model", "response_format", "stream"]
    private static let files: [StaticString] = ["file"]
    private static let formats = ["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]

    let takesForms = true

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        throw .invalid(param: "content-type", message: "content-type must be multipart/form-data.")
    }

    func read(_ form: CallForm) throws(RequestRefusal) -> CallRequest {
        let json = try FormMembers.read(form, ours: Self.ours, files: Self.files, priced: .chat)
        let model = try CallRequest.modelName(of: json)
        guard form.count(of: "file") == 1, form.fileBytes("file") > 0 else {
            throw .invalid(param: "file", message: "file must be one file that is not empty.")
        }
        let format = (try? json.optionalString("response_format")) ?? nil
        guard format == nil || Self.formats.contains(format ?? "") else {
            throw .invalid(param: "response_format", message: "response_format must be one of \(Self.formats.joined(separator: ", ")).")
        }
        let stream = (try? json.optionalString("stream")) ?? nil
        guard [nil, "true", "false"].contains(stream) else {
            throw .invalid(param: "stream", message: "stream must be 'true' or 'false'.")
        }
        var request = ModelRequest(
            surface: .transcriptions, json: json, model: model, isStreaming: stream == "true", includeUsage: true, choices: 1, pictures: 0)
        request.form = form
        var prompt = PromptSize(textBytes: 0, messages: 0, pictures: 0)
        prompt.soundBytes = Int64(form.fileBytes("file"))
        return CallRequest(modelRequest: request, prompt: prompt)
    }

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json, .responses) }

    /// Returns the provider's last event with what the call cost.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] {
        guard let event = usageChunk.flatMap({ try? JSONObject($0) }) else { return [] }
        return SSEEvent.encode(ResponseUsage.adding(receipt, to: event, .responses))
    }

    func event(of problem: Problem) -> [UInt8] { SSEEvent.encode(problem.body) }
}
