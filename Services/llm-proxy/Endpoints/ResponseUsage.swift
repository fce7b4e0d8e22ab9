import JSON
import Values

/// The encoder of what a call cost, in the `usage` object of an answer or of a stream's last chunk.
enum ResponseUsage {
    /// Adds the credits to the usage object of an answer, without touching the rest. An answer
    /// without a usage object gets one.
    static func adding(_ receipt: CallReceipt, to answer: JSONObject, _ names: OpenAIUsageNames = .chat) -> [UInt8] {
        var splice = JSONSplice(answer)
        splice.set("usage", raw: usage(of: answer, receipt, names))
        return splice.apply()
    }

    /// Makes the last chunk of a stream whose provider reported no usage.
    /// - Parameter object: the name of such chunks.
    static func chunk(_ receipt: CallReceipt, object: String, model: String) -> [UInt8] {
        JSONWriter.object { chunk in
            chunk.field("object", object)
            chunk.field("model", model)
            chunk.array("choices") { _ in }
            chunk.object("usage") { write(receipt, .chat, to: &$0) }
        }
    }

    private static func usage(of answer: JSONObject, _ receipt: CallReceipt, _ names: OpenAIUsageNames) -> [UInt8] {
        guard let member = try? answer.optionalObject("usage") else { return JSONWriter.object { write(receipt, names, to: &$0) } }
        var splice = JSONSplice(member)
        for (name, text) in credits(receipt) { splice.set(name, raw: Array(text.utf8)) }
        return splice.apply()
    }

    private static func write(_ receipt: CallReceipt, _ names: OpenAIUsageNames, to json: inout JSONWriter) {
        json.field(names.prompt.description, receipt.usage.promptTokens)
        json.field(names.completion.description, receipt.usage.completionTokens)
        json.field("total_tokens", receipt.usage.promptTokens + receipt.usage.completionTokens)
        for (name, text) in credits(receipt) { json.field(name, raw: Array(text.utf8)) }
    }

    /// Returns the members that tell what a call cost.
    static func credits(_ receipt: CallReceipt) -> [(name: String, text: String)] {
        [("credits_used", receipt.used.description)]
            + (receipt.remaining.map { [("credits_remaining", $0.description)] } ?? [])
            + (receipt.maxTokensClamped.map { [("max_tokens_clamped", String($0))] } ?? [])
    }
}
