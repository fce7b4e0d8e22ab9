import Contracts
import JSON

/// Writes what a call cost into the `usage` object of an answer or of a stream's usage event, without touching the rest.
enum AnswerUsage {
    /// Adds `credits_used` and `credits_remaining`; an answer without a usage object gets one.
    /// - Returns: nil when `answer` is not a JSON object.
    static func adding(used: Credits, remaining: Credits, usage: TokenUsage, to answer: [UInt8]) -> [UInt8]? {
        guard let object = try? JSONObject(answer) else { return nil }
        var splice = JSONSplice(object)
        splice.set("usage", raw: usageMember(of: object, usage: usage, used: used, remaining: remaining))
        return splice.apply()
    }

    /// What a whole answer is charged for: as the provider says, unless it says nothing of what it delivered; then as counted, four
    /// bytes a token. No completion tokens: there was no answer.
    static func delivered(
        in answer: [UInt8], reported: TokenUsage?, promptTokens: @autoclosure () -> Int64
    ) -> (usage: TokenUsage, isEstimated: Bool) {
        if let reported, reported.completionTokens > 0 { return (reported, false) }
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
                switch member.kind {
                case .string, .array, .object: bytes += member.valueRange.count - 2
                default: break
                }
            }
        }
        return Int64(bytes)
    }

    private static func usageMember(of answer: JSONObject, usage: TokenUsage, used: Credits, remaining: Credits) -> [UInt8] {
        let used = Array(used.description.utf8)
        let remaining = Array(remaining.description.utf8)
        if let member = try? answer.optionalObject("usage") {
            var splice = JSONSplice(member)
            splice.set("credits_used", raw: used)
            splice.set("credits_remaining", raw: remaining)
            return splice.apply()
        }
        var json = JSONWriter()
        json.object { object in
            object.field("prompt_tokens", usage.promptTokens)
            object.field("completion_tokens", usage.completionTokens)
            object.field("total_tokens", usage.promptTokens + usage.completionTokens)
            object.field("credits_used", raw: used)
            object.field("credits_remaining", raw: remaining)
        }
        return json.bytes
    }
}
