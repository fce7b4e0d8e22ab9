import JSON
import Text

/// The size of the content in Anthropic's answers: text, thoughts and calls of tools.
enum AnthropicContent {
    /// Returns the bytes of a content block, or of the delta of one, that count as content. Ids,
    /// signatures, hidden thoughts and quotes of the prompt are no output.
    static func bytes(of block: JSONScan) -> Int {
        var bytes = 0
        block.forEachMember { name, value in
            switch name {
            case "type", "id", "signature", "data", "citation", "citations", "caller": break
            default: bytes += OpenAIContent.bytes(ofValue: value.bytes)
            }
            return true
        }
        return bytes
    }

    /// True for a block, or the delta of one, that is output without bytes that count.
    static func isHidden(_ block: JSONScan) -> Bool {
        guard let type = block["type"]?.bytes else { return false }
        return #""redacted_thinking""# ~= type || #""citations_delta""# ~= type
    }
}
