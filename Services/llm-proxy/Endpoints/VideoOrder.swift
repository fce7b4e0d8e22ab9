import Contracts
import HTTP
import HTTPWire
import JSON
import Multipart
import Uploads

/// The order of a video: OpenAI's JSON, or its form, which may have a picture to begin with.
struct VideoOrder: Sendable {
    /// The members that the gateway reads. Those of a form are texts.
    let json: JSONObject
    private let form: CallForm?
    let model: String
    let seconds: Int64
    let size: String?

    static let uploadBytesMax = 64 << 20
    private static let jsonBytesMax = 1 << 20
    private static let ours: [StaticString] = OpenAIVideos.priced.names + ["model", "prompt", "seconds", "size"]
    private static let formTexts: [StaticString] = ["model", "seconds", "size"]
    private static let picture: StaticString = "input_reference"
    private static let secondsRange: ClosedRange<Int64> = 1...60
    /// OpenAI's length of a video whose order names none.
    private static let secondsUsual: Int64 = 4

    init(_ exchange: Exchange) throws(Problem) {
        guard let upload = exchange.upload else { throw .invalidJSON("The body is empty; send the order of a video.") }
        let type = exchange.headers.string(for: "content-type") ?? ""
        do throws(RequestRefusal) {
            if type.lowercased().hasPrefix("multipart/") {
                let form: CallForm
                do throws(MultipartError) {
                    form = try CallForm(upload, contentType: type)
                } catch {
                    throw .invalid(param: error == .notFormData || error == .boundary ? "content-type" : "body", message: error.message)
                }
                (json, self.form) = (try Self.read(form), form)
            } else {
                let bytes = upload.withUnsafeBytes { $0.count <= Self.jsonBytesMax ? Array($0) : nil }
                guard let bytes else {
                    throw .invalid(param: "body", message: "The body must be at most \(Self.jsonBytesMax) bytes of JSON.")
                }
                (json, form) = (try Self.read(bytes), nil)
            }
            if let flaw = OpenAIVideos.priced.flaw(in: json) { throw RequestRefusal(flaw) }
            model = try CallRequest.modelName(of: json)
            seconds = try Self.seconds(of: json)
            do throws(JSONError) { size = try json.optionalString("size") } catch { throw .json(error) }
        } catch {
            throw Problem(error)
        }
    }

    private static func read(_ body: [UInt8]) throws(RequestRefusal) -> JSONObject {
        let json = try CallRequest.parse(body, ours: ours)
        let prompt: String
        do throws(JSONError) { prompt = try json.string("prompt") } catch { throw .json(error) }
        guard !prompt.isEmpty else { throw .invalid(param: "prompt", message: "prompt must not be empty.") }
        guard !json.has(picture.description) else {
            throw .invalid(param: picture.description, message: "\(picture) must be a file of a form; send multipart/form-data.")
        }
        return json
    }

    private static func read(_ form: CallForm) throws(RequestRefusal) -> JSONObject {
        let json = try FormMembers.read(form, ours: formTexts, files: ["prompt", picture], priced: OpenAIVideos.priced)
        guard form.count(of: "prompt") == 1 else { throw .json(.missing("prompt")) }
        guard form.count(of: picture.description) <= 1 else {
            throw .invalid(param: picture.description, message: "\(picture) must be one file.")
        }
        return json
    }

    /// Reads OpenAI's text (`"8"`), or a number as other servers take it.
    private static func seconds(of json: JSONObject) throws(RequestRefusal) -> Int64 {
        guard let member = json.member("seconds"), member.kind != .null else { return secondsUsual }
        let seconds = member.kind == .string ? (try? json.string("seconds")).flatMap { Int64($0) } : try? json.optionalInteger("seconds")
        guard let seconds, secondsRange.contains(seconds) else {
            throw .invalid(
                param: "seconds", message: "seconds must be a whole number from \(secondsRange.lowerBound) to \(secondsRange.upperBound).")
        }
        return seconds
    }

    /// Returns the body with the provider's name of the model, and with the length that is charged.
    func body(for model: Catalogue.Model) throws(ProviderFailure) -> VideoBody {
        guard let form else {
            var (name, splice) = (JSONWriter(), JSONSplice(json))
            name.string(model.providerModel)
            splice.set("model", raw: name.bytes)
            if namesNoLength { splice.set("seconds", raw: Array("\"\(seconds)\"".utf8)) }
            return .json(splice.apply())
        }
        let texts = [("model", model.providerModel)] + (namesNoLength ? [("seconds", String(seconds))] : [])
        do throws(MultipartError) {
            return .form(form, try form.body(replacing: texts))
        } catch {
            throw ProviderFailure(.refusedRequest(status: 400, message: error.message, param: nil))
        }
    }

    private var namesNoLength: Bool { json.member("seconds").map { $0.kind == .null } ?? true }

    /// Returns the seconds of the video in the class of its size, or one video in the class of its length.
    func usage(of model: Catalogue.Model) throws(Problem) -> Usage {
        var usage = Usage()
        if model.price.sells(.videoSecond) {
            guard let tier = model.price.mediaClass(of: .videoSecond, quality: nil, size: size) else {
                throw Problem.invalidRequest(
                    "A video of size '\(size?.prefix(32) ?? "auto")' has no price here; GET /v1/models/\(model.id) lists what is sold.",
                    param: "size")
            }
            usage[.videoSecond] = seconds
            usage.tier = tier
        } else {
            usage[.request] = 1
            usage.tier = seconds > 5 ? .above5Seconds : .standard
            guard model.price.hasPrice(of: usage) else {
                throw Problem.invalidRequest("A video of \(seconds) s has no price here; ask for a shorter one.", param: "seconds")
            }
        }
        return usage
    }
}
