import JSON
import Values

/// Writes what a call cost into the `usage` object of an answer or of a stream's usage event, without touching the rest.
enum ResponseUsage {
    /// The members that the gateway adds to `usage`.
    struct Members: Sendable {
        var used: Credits
        var remaining: Credits
        /// The limit of the answer, if it is below the limit that the client asked for.
        var maxTokensClamped: Int64?

        fileprivate var fields: [(name: String, text: String)] {
            [("credits_used", used.description), ("credits_remaining", remaining.description)]
                + (maxTokensClamped.map { [("max_tokens_clamped", String($0))] } ?? [])
        }
    }

    /// Adds `members` to the usage object. An answer without a usage object gets one from `usage`.
    /// - Returns: nil when `answer` is not a JSON object.
    static func adding(_ members: Members, usage: TokenUsage, to answer: [UInt8]) -> [UInt8]? {
        guard let object = try? JSONObject(answer) else { return nil }
        var splice = JSONSplice(object)
        splice.set("usage", raw: usageMember(of: object, usage: usage, members))
        return splice.apply()
    }

    /// Returns the usage that a whole answer is charged for. It is the provider's figure. If the provider reports no usage of
    /// what it delivered, it is our count of four bytes a token. Zero completion tokens mean that there was no answer.
    static func delivered(
        in answer: [UInt8], reported: TokenUsage?, promptTokens: @autoclosure () -> Int64
    ) -> (usage: TokenUsage, isEstimated: Bool) {
        if let reported, reported.completionTokens > 0 { return reported.withPrompt(promptTokens()) }
        let counted = (contentBytes(of: answer) + 3) / 4
        guard counted > 0 else { return (reported ?? TokenUsage(promptTokens: 0, completionTokens: 0), reported == nil) }
        let prompt = reported.map(\.promptTokens) ?? 0
        return (TokenUsage(promptTokens: prompt > 0 ? prompt : promptTokens(), completionTokens: counted), true)
    }

    /// Text, tool calls, reasoning of all choices.
    private static func contentBytes(of answer: [UInt8]) -> Int64 {
        guard let choices = try? JSONObject(answer).optionalArray("choices") else { return 0 }
        var bytes = 0
        for choice in choices {
            guard let message = try? choice.object?.optionalObject("message") else { continue }
            for member in message.members where member.name != "role" {
                bytes += contentBytes(ofValue: message.bytes[member.valueRange])
            }
        }
        return Int64(bytes)
    }

    /// Returns the bytes of a string, array or object that count as content. An empty value, a
    /// number and null count as zero.
    static func contentBytes(ofValue value: some BidirectionalCollection<UInt8>) -> Int {
        guard value.count > 2, let first = value.first else { return 0 }
        switch first {
        case UInt8(ascii: "\""): return value.count - 2
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let isEmpty = value.dropFirst().dropLast().allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
            return isEmpty ? 0 : value.count - 2
        default: return 0
        }
    }

    private static func usageMember(of answer: JSONObject, usage: TokenUsage, _ members: Members) -> [UInt8] {
        if let member = try? answer.optionalObject("usage") {
            var splice = JSONSplice(member)
            for (name, text) in members.fields { splice.set(name, raw: Array(text.utf8)) }
            return splice.apply()
        }
        var json = JSONWriter()
        json.object { object in
            object.field("prompt_tokens", usage.promptTokens)
            object.field("completion_tokens", usage.completionTokens)
            object.field("total_tokens", usage.promptTokens + usage.completionTokens)
            for (name, text) in members.fields { object.field(name, raw: Array(text.utf8)) }
        }
        return json.bytes
    }
}
