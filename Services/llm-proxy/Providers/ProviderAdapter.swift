import Contracts
import HTTPWire
import JSON
import SSE
import Values

/// The wire format of one kind of provider. It builds requests, reads answers into usage and output,
/// and classifies failures. Requests and answers have OpenAI's shape on the gateway's side.
protocol ProviderAdapter: Sendable {
    /// The abilities of the wire format that requests may use.
    var capabilities: Set<Capability> { get }

    /// Returns the first member that this kind of provider cannot serve at a known price.
    func flaw(in request: ModelRequest) -> RequestFlaw?

    /// True if every request must have a limit of the answer.
    var requiresLimit: Bool { get }

    /// The dearest unit that a token of a prompt can be charged as.
    var promptUnit: UsageUnit { get }

    /// The path of a call below the base URL of its provider.
    var path: String { get }
    /// Returns the fields that carry the key and the version of the interface.
    func credentials(_ key: String) -> HeaderBlock
    /// - Throws: a flaw that ``flaw(in:)`` finds too. No part of a request is left out instead.
    func body(of request: ModelRequest, for model: Catalogue.Model, limit: OutputLimit) throws(RequestFlaw) -> [UInt8]

    /// Reads an answer in one piece.
    func answer(_ body: [UInt8], _ context: AnswerContext) throws(ProviderFailure) -> WholeAnswer
    func reader(_ context: AnswerContext) -> any EventReader

    /// Classifies an answer whose status is not 200.
    func failure(status: Int, body: [UInt8], retryAfter: String?) -> ProviderFailure
}

enum Capability: Hashable, Sendable {
    case pictures, tools, severalChoices, logprobs, responseFormat
}

/// An answer in one piece, in OpenAI's shape.
struct WholeAnswer: Sendable {
    var json: JSONObject
    /// The usage that the provider reported.
    var reported: Usage?
    /// The bytes of text, tool calls and reasoning of all choices.
    var contentBytes: Int64
}

/// The facts of a call that an adapter needs to write its answer in OpenAI's shape.
struct AnswerContext: Sendable {
    /// The name of the model at the gateway.
    var model: String
    var choices: Int64
    /// True if the client asked for usage.
    var includeUsage: Bool
    /// The time of the answer in seconds since 1970.
    var createdAt: Int64
}

/// The reader of one stream. Its events come in order.
protocol EventReader: Sendable {
    mutating func read(_ event: SSEEvent) -> StreamEvent
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
    /// A chunk in OpenAI's shape that carries nothing but usage. The endpoint sends it once the
    /// charge is safe.
    var usageChunk: [UInt8]?
    /// True if the provider says that the answer is whole.
    var isEnd = false
    var failure: ProviderFailure?

    static func failed(_ kind: ProviderFailure.Kind) -> StreamEvent {
        StreamEvent(output: .nothing, failure: ProviderFailure(kind))
    }
}

extension ProviderAdapter {
    /// Returns the first member that needs an ability which the wire format lacks.
    func missingCapability(in request: ModelRequest) -> RequestFlaw? {
        func flaw(_ param: String, _ remedy: String) -> RequestFlaw {
            RequestFlaw(param: param, message: "\(param) is not supported by the model '\(request.model)'; \(remedy).")
        }
        if request.choices > 1, !capabilities.contains(.severalChoices) { return flaw("n", "set it to 1") }
        if request.pictures > 0, !capabilities.contains(.pictures) { return flaw("messages", "send text only") }
        for (capability, names) in Self.members where !capabilities.contains(capability) {
            if let name = names.first(where: request.json.has) { return flaw(name, "remove it") }
        }
        return nil
    }

    private static var members: [(Capability, [String])] {
        [
            (.tools, ["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"]),
            (.logprobs, ["logprobs", "top_logprobs", "logit_bias"]), (.responseFormat, ["response_format"]),
        ]
    }

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
