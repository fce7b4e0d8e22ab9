import JSON

/// The size of the content in answers of OpenAI's shape: text, tool calls and reasoning.
enum OpenAIContent {
    static func bytes(of answer: JSONObject) -> Int64 {
        guard let choices = answer.raw("choices") else { return 0 }
        var bytes = 0
        choices.withUnsafeBytes { text in
            JSONScan(text).forEachElement { choice in
                if let message = choice["message"] { bytes += Self.bytes(ofMessage: message) }
                return true
            }
        }
        return Int64(bytes)
    }

    /// Returns whether a choice of an answer ended with an error of the provider.
    static func hasFailed(_ choice: JSONScan) -> Bool {
        if let error = choice["error"], !error.isNull { return true }
        return choice["finish_reason"].map { $0.bytes.elementsEqual(#""error""#.utf8) } ?? false
    }

    /// Returns whether any choice of an answer ended with an error of the provider.
    static func hasFailedChoice(_ answer: JSONObject) -> Bool {
        guard let choices = answer.raw("choices") else { return false }
        var hasFailed = false
        choices.withUnsafeBytes { text in
            JSONScan(text).forEachElement { choice in
                hasFailed = Self.hasFailed(choice)
                return !hasFailed
            }
        }
        return hasFailed
    }

    /// Counts a message, or the delta of one.
    static func bytes(ofMessage message: JSONScan) -> Int {
        var bytes = 0
        message.forEachMember { name, value in
            if !name.elementsEqual("role".utf8) { bytes += Self.bytes(ofValue: value.bytes) }
            return true
        }
        return bytes
    }

    /// Returns the bytes of a string, array or object that count as content. An empty value, a
    /// number and null count as zero.
    static func bytes(ofValue value: UnsafeRawBufferPointer) -> Int {
        guard value.count > 2, let first = value.first else { return 0 }
        switch first {
        case UInt8(ascii: "\""): return value.count - 2
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let isEmpty = value.dropFirst().dropLast().allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
            return isEmpty ? 0 : value.count - 2
        default: return 0
        }
    }
}

extension Usage {
    /// More than the longest answers a request may ask for. A provider that reports more is not
    /// believed.
    static let reportedMax: Int64 = 10_000_000 * ModelRequest.choicesMax

    /// Reads the `usage` member of an answer. Nil if it is null, empty, or beyond ``reportedMax``.
    ///
    /// Some providers leave their thoughts out of `completion_tokens`, but count them in
    /// `total_tokens`. The larger figure is charged.
    init?(openAI usage: JSONScan) {
        guard usage.isObject else { return nil }
        let prompt = usage["prompt_tokens"]?.integer
        let completion = usage["completion_tokens"]?.integer
        let possible = 0...Self.reportedMax
        let total = usage["total_tokens"]?.integer ?? 0
        guard prompt != nil || completion != nil, possible.contains(prompt ?? 0), possible.contains(completion ?? 0) else { return nil }
        let beyondPrompt = possible.contains(total) && prompt ?? 0 > 0 ? total - (prompt ?? 0) : 0
        self.init(promptTokens: prompt ?? 0, completionTokens: max(completion ?? 0, beyondPrompt))
    }
}
