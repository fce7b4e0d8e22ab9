import Contracts
import JSON
import Text

/// A choice of an answer, or of a chunk of one, read in one pass.
struct OpenAIChoice {
    /// The bytes of text, tool calls and reasoning.
    private(set) var contentBytes = 0
    /// True if the choice has a reason for its end.
    private(set) var isFinished = false
    /// True if the choice ended with an error of the provider.
    private(set) var hasFailed = false

    init(_ choice: JSONScan) {
        choice.forEachMember { name, value in
            switch name {
            // Some servers send `text` or a whole message where a delta is expected, or one content in two forms.
            case "delta", "message":
                contentBytes = max(contentBytes, OpenAIContent.bytes(ofMessage: value))
            case "text": contentBytes = max(contentBytes, OpenAIContent.bytes(ofValue: value.bytes))
            case "error": hasFailed = hasFailed || !value.isNull
            case "finish_reason" where !value.isNull:
                isFinished = true
                hasFailed = hasFailed || #""error""# ~= value.bytes
            default: break
            }
            return true
        }
    }
}

/// The size of the content in answers of OpenAI's shape: text, tool calls and reasoning.
enum OpenAIContent {
    /// Reads an answer in one piece that has choices.
    /// - Parameter name: the kind of answer, for the failure of another one.
    static func answer(_ body: [UInt8], named name: String) throws(ProviderFailure) -> WholeAnswer {
        let failure = ProviderFailure(.wrongAnswer("with something else than \(name)"))
        guard let json = try? JSONObject(body), !json.has("error"), json.member("choices")?.kind == .array else { throw failure }
        let content = read(json)
        guard !content.hasFailed else { throw failure }
        var reported = json.raw("usage").flatMap { $0.withUnsafeBytes { Usage(openAI: JSONScan($0)) } }
        json.raw("service_tier")?.withUnsafeBytes { reported?.take(tier: JSONScan($0)) }
        return WholeAnswer(json: json, reported: reported, contentBytes: content.bytes)
    }

    /// Reads all choices of an answer in one piece.
    /// - Returns: the bytes of their content, and whether the provider reported an error in one.
    static func read(_ answer: JSONObject) -> (bytes: Int64, hasFailed: Bool) {
        var (bytes, hasFailed) = (0, false)
        answer.raw("choices")?.withUnsafeBytes { text in
            JSONScan(text).forEachElement { choice in
                let choice = OpenAIChoice(choice)
                bytes += choice.contentBytes
                hasFailed = hasFailed || choice.hasFailed
                return true
            }
        }
        return (Int64(bytes), hasFailed)
    }

    /// Counts the texts of a message, or of the delta of one: names and arguments of tool calls are among
    /// them. Some servers send one thought in several forms.
    static func bytes(ofMessage message: JSONScan) -> Int {
        var (bytes, thoughts) = (0, 0)
        message.forEachMember { name, value in
            switch name {
            case "role": break
            case "reasoning", "reasoning_content", "reasoning_details", "thinking": thoughts = max(thoughts, texts(in: value))
            default: bytes += texts(in: value)
            }
            return true
        }
        return bytes + thoughts
    }

    /// Counts the strings of a value, but for those that name or sign a part of it.
    /// - Parameter depth: the levels that are read; what is nested deeper counts as it is written.
    private static func texts(in value: JSONScan, depth: Int = 8) -> Int {
        guard depth > 0, !value.isString else { return bytes(ofValue: value.bytes) }
        var bytes = 0
        value.forEachElement { element in
            bytes += texts(in: element, depth: depth - 1)
            return true
        }
        value.forEachMember { name, member in
            switch name {
            case "id", "type", "format", "signature", "data": break
            default: bytes += texts(in: member, depth: depth - 1)
            }
            return true
        }
        return bytes
    }

    /// Returns the bytes of a string without its escapes, or of an array or object as it is written. An empty
    /// value, a number and null count as zero.
    static func bytes(ofValue value: UnsafeRawBufferPointer) -> Int {
        guard value.count > 2, let first = value.first else { return 0 }
        switch first {
        case UInt8(ascii: "\""): return (value.contains(UInt8(ascii: "\\")) ? JSONScan(value).decodedCount : value.count) - 2
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let isEmpty = value.dropFirst().dropLast().allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
            return isEmpty ? 0 : value.count - 2
        default: return 0
        }
    }
}

/// The names of the members of a `usage` object, which differ between OpenAI's surfaces.
struct OpenAIUsageNames: Sendable {
    let prompt: StaticString
    let completion: StaticString
    let promptDetails: StaticString
    let completionDetails: StaticString

    static let chat = OpenAIUsageNames(
        prompt: "prompt_tokens", completion: "completion_tokens", promptDetails: "prompt_tokens_details",
        completionDetails: "completion_tokens_details")
    static let responses = OpenAIUsageNames(
        prompt: "input_tokens", completion: "output_tokens", promptDetails: "input_tokens_details",
        completionDetails: "output_tokens_details")
}

extension Usage {
    /// More than the longest answers a request may ask for. A provider that reports more is not
    /// believed.
    static let reportedMax: Int64 = 10_000_000 * ModelRequest.choicesMax

    /// Reads the `usage` member of an answer. Nil if it is null, empty, or beyond ``reportedMax``.
    ///
    /// Some providers leave their thoughts out of `completion_tokens`, but count them in
    /// `total_tokens`. The larger figure is charged.
    init?(openAI usage: JSONScan, _ names: OpenAIUsageNames = .chat) {
        guard usage.isObject else { return nil }
        let prompt = usage[names.prompt]?.integer
        let completion = usage[names.completion]?.integer
        let possible = 0...Self.reportedMax
        let total = usage["total_tokens"]?.integer ?? 0
        guard prompt != nil || completion != nil, possible.contains(prompt ?? 0), possible.contains(completion ?? 0) else { return nil }
        let beyondPrompt = possible.contains(total) && prompt ?? 0 > 0 ? total - (prompt ?? 0) : 0
        self.init(promptTokens: prompt ?? 0, completionTokens: max(completion ?? 0, beyondPrompt))
        if let details = usage[names.promptDetails] {
            move(details["audio_tokens"]?.integer, from: .input, to: .audioInput)
            move(details["cached_tokens"]?.integer, from: .input, to: .cachedInput)
            move(details["cache_write_tokens"]?.integer, from: .input, to: .cacheWrite)
        }
        move(usage[names.completionDetails]?["audio_tokens"]?.integer, from: .output, to: .audioOutput)
    }

    /// Takes the `service_tier` of an answer. OpenAI's tiers below have prices of their own. Other
    /// servers have other names for their only tier.
    mutating func take(tier: JSONScan?) {
        self.tier = tier?.string.flatMap(ServiceTier.service) ?? .standard
    }
}
