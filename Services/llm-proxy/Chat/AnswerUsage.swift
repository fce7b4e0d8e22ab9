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
