import Contracts
import JSON
import Text

/// OpenAI's pictures. A model is sold by pictures in classes, or by tokens that the provider reports.
struct OpenAIImages: WireFormat {
    var path = "/images/generations"

    let requiresLimit = false
    let takesLimit = false

    /// Members of several servers that make a picture larger or dearer in other words than quality and
    /// size. Pictures of an unfinished state cost tokens of their own.
    private static let dearer: [StaticString] = [
        "partial_images", "width", "height", "steps", "num_inference_steps", "resolution", "image_size", "aspect_ratio", "megapixels",
        "frame_count", "complexity", "input_fidelity",
    ]
    static let priced = PricedMembers([("stream", .onlyFalse)] + dearer.map { ($0, .absent) }, free: ["background"])

    /// Pictures of the prompt have a price of their own.
    func promptUnit(of request: ModelRequest) -> UsageUnit { request.pictures > 0 ? .imageInput : .input }
    func answerUnits(of request: ModelRequest) -> [UsageUnit] { [.output, .imageOutput] }

    func flaw(in request: ModelRequest) -> RequestFlaw? { Self.priced.flaw(in: request.json) }

    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw? {
        guard request.pictures > 0, !model.price.sells(.image), model.limits.imageTokensMax == nil else { return nil }
        return RequestFlaw(param: "image", message: "The model '\(model.id)' takes no pictures; call /v1/images/generations.")
    }

    func units(of request: ModelRequest, for model: Catalogue.Model) throws(RequestFlaw) -> Usage? {
        guard model.price.sells(.image) else { return nil }
        let (quality, size) = (try request.json.word("quality"), try request.json.word("size"))
        guard let tier = model.price.mediaClass(of: .image, quality: quality, size: size) else {
            let param = size == nil ? "quality" : "size"
            throw RequestFlaw(
                param: param,
                message:
                    "A picture of quality '\(quality ?? "auto")' and size '\(size ?? "auto")' has no price here; GET /v1/models/\(model.id) lists what is sold."
            )
        }
        var usage = Usage()
        usage[.image] = request.choices
        usage.tier = tier
        return usage
    }

    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) -> [UInt8] { request.splice(for: model).apply() }

    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer {
        guard let json = try? JSONObject(body), !json.has("error"), json.member("data")?.kind == .array, let data = json.raw("data") else {
            throw ProviderFailure(.wrongAnswer("with something else than pictures"))
        }
        let pictures = data.withUnsafeBytes { Self.pictures(in: JSONScan($0)) }
        let reported = json.raw("usage").flatMap { $0.withUnsafeBytes { Usage(images: JSONScan($0)) } }
        return WholeAnswer(json: json, reported: reported, contentBytes: 0, hasUncountedResult: pictures > 0, pictures: pictures)
    }

    /// Counts the elements that have a picture: its bytes or its address.
    private static func pictures(in data: JSONScan) -> Int64 {
        var count: Int64 = 0
        data.forEachElement { element in
            var hasPicture = false
            element.forEachMember { name, value in
                if "b64_json" ~= name || "url" ~= name { hasPicture = hasPicture || OpenAIContent.bytes(ofValue: value.bytes) > 0 }
                return true
            }
            if hasPicture { count += 1 }
            return true
        }
        return count
    }

    /// No request asks for a stream.
    func reader(_ context: AnswerContext) -> any EventReader { OpenAIEvents(context) }
}

extension PriceVersion {
    /// Returns true if the model is sold by a unit, in any class.
    func sells(_ unit: UsageUnit) -> Bool { units.units.contains(unit) || conditional.contains { $0.units.units.contains(unit) } }
}

extension JSONObject {
    /// Reads a word whose value decides the price. Nil without it, and for null.
    fileprivate func word(_ name: String) throws(RequestFlaw) -> String? {
        do throws(JSONError) {
            guard let text = try optionalString(name) else { return nil }
            if text.utf8.count <= ServiceTier.nameBytesMax { return text }
        } catch {
            throw RequestFlaw(param: name, message: "\(name) must be a string.")
        }
        throw RequestFlaw(param: name, message: "\(name) must have at most \(ServiceTier.nameBytesMax) bytes.")
    }
}

extension Usage {
    /// Reads the `usage` member of pictures. Nil if it is null, empty, or beyond ``reportedMax``.
    init?(images usage: JSONScan) {
        self.init(openAI: usage, .responses)
        move(usage["input_tokens_details"]?["image_tokens"]?.integer, from: .input, to: .imageInput)
        // Without details all of it is pictures.
        let text = usage["output_tokens_details"]?["text_tokens"]?.integer ?? 0
        move(self[.output] - max(0, text), from: .output, to: .imageOutput)
    }
}
