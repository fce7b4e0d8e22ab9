import HTTP
import JSON

/// `POST /v1/images/edits`: OpenAI's form.
struct ImageEdits: CallShape {
    private static let ours: [StaticString] = ["model", "n", "size", "quality", "stream"]
    private static let files: [StaticString] = ["image", "image[]", "mask"]
    /// The most pictures that a form may have.
    static let picturesMax = 16

    let takesForms = true

    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest {
        throw .invalid(param: "content-type", message: "content-type must be multipart/form-data.")
    }

    func read(_ form: CallForm) throws(RequestRefusal) -> CallRequest {
        let json = try FormMembers.read(form, ours: Self.ours, files: Self.files, priced: OpenAIImages.priced)
        let model = try CallRequest.modelName(of: json)
        let pictures = form.count(of: "image") + form.count(of: "image[]")
        guard form.count(of: "prompt") == 1 else { throw .json(.missing("prompt")) }
        guard (1...Self.picturesMax).contains(pictures) else {
            throw .invalid(param: "image", message: "image must be 1 to \(Self.picturesMax) files, not \(pictures).")
        }
        let stream = try? json.optionalString("stream")
        guard [nil, "", "false"].contains(stream ?? nil) else {
            throw .invalid(param: "stream", message: "stream has no price here; remove it.")
        }
        let count = try json.number("n", in: 1...Images.picturesMax) ?? 1
        let textBytes = form.bytes(except: Self.files.map(\.description))
        var request = ModelRequest(
            surface: .imageEdits, json: try json.without(["n", "stream"]), model: model, isStreaming: false, includeUsage: false,
            choices: count, pictures: Int64(pictures + form.count(of: "mask")))
        request.form = form
        return CallRequest(
            modelRequest: request,
            prompt: PromptSize(textBytes: Int64(textBytes), messages: 1, pictures: request.pictures))
    }

    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8] { ResponseUsage.adding(receipt, to: answer.json, .responses) }

    // No call is a stream.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8] { [] }

    func event(of problem: Problem) -> [UInt8] { [] }
}

extension JSONObject {
    /// Returns the object without some members.
    fileprivate func without(_ names: [String]) throws(RequestRefusal) -> JSONObject {
        var splice = JSONSplice(self)
        for name in names { splice.remove(name) }
        do throws(JSONError) { return try JSONObject(splice.apply()) } catch { throw .json(error) }
    }
}
