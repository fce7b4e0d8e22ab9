import Contracts
import HTTPWire
import JSON
import SSE
import Values

/// A kind of provider: its credentials, its failures, and the formats of its paths.
protocol ProviderAdapter: Sendable {
    /// Returns the format in which calls of a surface go to this kind of provider. Nil if it cannot
    /// serve them.
    func format(for surface: Surface) -> (any WireFormat)?

    /// Returns the fields that carry the key and the version of the interface.
    func credentials(_ key: String) -> HeaderBlock

    /// Classifies an answer whose status is not 200.
    func failure(status: Int, body: [UInt8], retryAfter: String?) -> ProviderFailure
}

/// The requests and answers of one path of a provider, for the calls of one surface. It builds
/// requests, and reads answers into usage and output of the surface's shape.
protocol WireFormat: Sendable {
    /// The path of a call below the base URL of its provider.
    var path: String { get }

    /// True if every request must have a limit of the answer.
    var requiresLimit: Bool { get }

    /// False if the length of an answer cannot be limited, or not counted while it comes. The hold must
    /// then pay for the longest one.
    var takesLimit: Bool { get }

    /// Returns the dearest unit that a token of the prompt can be charged as.
    func promptUnit(of request: ModelRequest) -> UsageUnit

    /// Returns the units that the answer is charged as tokens of.
    func answerUnits(of request: ModelRequest) -> [UsageUnit]

    /// Returns the most units of a call whose model is not sold by tokens. Nil for a model that is.
    /// - Throws: the member whose value has no price.
    func units(of request: ModelRequest, for model: Catalogue.Model) throws(RequestFlaw) -> Usage?

    /// Returns the first member that cannot be served at a known price.
    func flaw(in request: ModelRequest) -> RequestFlaw?

    /// Returns the first member that this model cannot serve, or not at its price.
    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw?

    /// Returns the most tokens that the provider adds to the prompt for what the request asks, such as
    /// its own text about tools.
    func addedPromptTokens(to request: ModelRequest) -> Int64

    /// Returns the shortest limit with which an answer to this request is of use, in tokens.
    func outputTokensLeast(of request: ModelRequest) -> Int64

    /// Returns the fields that the provider gets with this request.
    func headers(of request: ModelRequest, for model: Catalogue.Model) -> HeaderBlock

    /// Returns the texts of a form that differ from the client's.
    func texts(of request: ModelRequest, for model: Catalogue.Model) -> [(name: String, text: String)]

    /// The media types of an answer in one piece, in small letters.
    func mediaTypes(of request: ModelRequest) -> [String]

    /// Returns the body of a request that came as JSON.
    /// - Throws: a flaw that ``flaw(in:)`` finds too. No part of a request is left out instead.
    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) throws(RequestFlaw) -> [UInt8]

    /// Reads an answer in one piece.
    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer
    func reader(_ context: AnswerContext) -> any EventReader
}

extension WireFormat {
    var takesLimit: Bool { true }
    func answerUnits(of request: ModelRequest) -> [UsageUnit] { [.output] }
    func units(of request: ModelRequest, for model: Catalogue.Model) throws(RequestFlaw) -> Usage? { nil }
    func flaw(in request: ModelRequest, for model: Catalogue.Model) -> RequestFlaw? { nil }
    func addedPromptTokens(to request: ModelRequest) -> Int64 { 0 }
    func outputTokensLeast(of request: ModelRequest) -> Int64 { 0 }
    func headers(of request: ModelRequest, for model: Catalogue.Model) -> HeaderBlock { [:] }
    func texts(of request: ModelRequest, for model: Catalogue.Model) -> [(name: String, text: String)] { [("model", model.providerModel)] }
    func mediaTypes(of request: ModelRequest) -> [String] { ["application/json"] }
}

/// An answer in one piece, in the shape of its surface.
struct WholeAnswer: Sendable {
    var json: JSONObject
    /// The usage that the provider reported.
    var reported: Usage?
    /// The bytes of text, tool calls and reasoning of all choices.
    var contentBytes: Int64
    /// True if the answer has a result without output tokens, such as vectors. It is charged by its
    /// prompt.
    var hasUncountedResult = false
    /// The number of pictures.
    var pictures: Int64 = 0
    /// The length of the sound that was written down, in seconds, rounded up. Nil if the answer does not
    /// say it.
    var seconds: Int64?
    /// The body for the client, if it is no JSON.
    var text: [UInt8]?
}

/// The facts of a call that a format needs to read and to write its answer.
struct AnswerContext: Sendable {
    /// The name of the model at the gateway.
    var model: String
    var choices: Int64
    /// True if the client asked for usage.
    var includeUsage: Bool
    /// The `response_format` of a transcription.
    var format: String?
    /// The time of the answer in seconds since 1970.
    var createdAt: Int64
}

/// The reader of one stream. Its events come in order.
protocol EventReader: Sendable {
    /// The longest event in bytes. A longer one ends the stream.
    var eventBytesMax: Int { get }

    mutating func read(_ event: SSEEvent) -> StreamEvent
}

extension EventReader {
    var eventBytesMax: Int { SSEParser.eventBytesMax }
}

/// One event of a provider's stream: its output for the client, and its meaning for the call.
struct StreamEvent: Sendable {
    enum Output: Sendable {
        /// The bytes of the provider go on unchanged.
        case asSent
        case nothing
        case instead([UInt8])
    }

    var output = Output.asSent
    /// The number of choices to which the event adds content.
    var choicesWithContent: Int64 = 0
    var contentBytes: Int64 = 0
    var usage: Usage?
    /// The data of the last event that carries usage, in the shape of the surface. The endpoint
    /// sends it once the charge is safe. Empty if the last one went on after all.
    var usageChunk: [UInt8]?
    /// The number of the event in its stream, if the surface numbers events.
    var number: Int64?
    /// True if the provider says that the answer is whole.
    var isEnd = false
    var failure: ProviderFailure?

    static func failed(_ kind: ProviderFailure.Kind) -> StreamEvent {
        StreamEvent(output: .nothing, failure: ProviderFailure(kind))
    }
}

extension ProviderAdapter {
    /// Reads OpenAI's and Anthropic's error bodies: `{"error": {"message", "type", "code", "param"}}`.
    /// Only the refusal of the request itself passes the provider's text on.
    func failure(status: Int, body: [UInt8], retryAfter: String?) -> ProviderFailure {
        let error = (try? JSONObject(body).optionalObject("error")) ?? nil
        func text(_ name: String) -> String? { (try? error?.optionalString(name)) ?? nil }
        if AccountFault.isNamed(code: text("code"), type: text("type"), message: text("message")) {
            return ProviderFailure(.accountRefused(status: status))
        }
        switch status {
        case 400, 413, 415, 422:
            return ProviderFailure(.refusedRequest(status: status, message: text("message"), param: text("param")))
        default:
            let seconds = retryAfter.flatMap { Int($0) }.flatMap { (0...3_600).contains($0) ? $0 : nil }
            return ProviderFailure(.refused(status: status, retryAfter: seconds))
        }
    }
}

/// The faults of an operator's account that a provider reports like a fault of the request, or like
/// a rate limit.
private enum AccountFault {
    /// OpenAI's codes and types, and Anthropic's type.
    private static let names: Set<String> = [
        "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated", "billing_error",
    ]
    /// The beginnings of Anthropic's messages. Their type is that of any flaw of a request.
    private static let messages = [
        "Your credit balance is too low", "You have reached your specified API usage limits", "This organization has been disabled",
    ]

    static func isNamed(code: String?, type: String?, message: String?) -> Bool {
        [code, type].contains { $0.map(names.contains) ?? false }
            || messages.contains { message?.hasPrefix($0) ?? false }
    }
}
