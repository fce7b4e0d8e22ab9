import HTTPWire
import JSON

/// The members of a call that the gateway reads. All others pass through unread.
struct CallRequest: Sendable {
    /// The parts of the request that wire formats read.
    var modelRequest: ModelRequest
    var prompt: PromptSize
    /// The client's limit of one answer; nil if the client set none. 0 for a surface whose answers
    /// have no output tokens.
    var outputTokensMax: Int64?
    /// The least limit that the surface allows.
    var limitLeast: Int64 = 1
    /// The number of probabilities that the answer lists for each token.
    var logprobs: Int64 = 0
}

/// The reason why a request cannot be served. Nothing is held yet.
enum RequestRefusal: Error, Equatable {
    /// The body or a member is not the JSON that it must be.
    case json(JSONError)
    case invalid(param: String, message: String)

    init(_ flaw: RequestFlaw) { self = .invalid(param: flaw.param, message: flaw.message) }
}

extension CallRequest {
    /// The JSON values of a request. No useful prompt has as many: 80,000 messages fit. Without the
    /// bound, a body of tiny values would take a loop's time for much longer than a text of its
    /// size.
    static let valuesMax = 262_144

    /// Parses a body.
    /// - Parameter ours: the members that the gateway reads or writes. A member that differs from
    ///   one of them only in letter case is refused.
    static func parse(
        _ body: [UInt8], ours: [StaticString], valuesMax: Int = valuesMax
    ) throws(RequestRefusal) -> JSONObject {
        let json: JSONObject
        do { json = try JSONObject(body, valuesMax: valuesMax) } catch { throw .json(error) }
        do throws(RequestFlaw) { try MemberNames.check(json, ours) } catch { throw RequestRefusal(error) }
        return json
    }

    static func modelName(of json: JSONObject) throws(RequestRefusal) -> String {
        let model: String
        do throws(JSONError) { model = try json.string("model") } catch { throw .json(error) }
        guard !model.isEmpty else { throw .invalid(param: "model", message: "model must not be empty.") }
        return model
    }

    /// Reads the feature that asked, as the client names it in `x-operation`. It travels with the charge, so its length is
    /// bounded.
    static func operation(_ header: String?) throws(RequestRefusal) -> String? {
        guard let header, !header.isEmpty else { return nil }
        guard header.utf8.count <= 100, header.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw .invalid(param: "x-operation", message: "x-operation must be at most 100 printable ASCII characters.")
        }
        return header
    }
}

extension JSONObject {
    func optionalInteger(_ name: String, in range: ClosedRange<Int64>) throws(JSONError) -> Int64? {
        guard let value = try optionalInteger(name) else { return nil }
        guard range.contains(value) else {
            throw .wrongType(name, expected: "an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
