import Glibc
import JSON

/// The size of a request's prompt: bounds of its tokens, before the provider counts them.
struct PromptSize: Hashable, Sendable {
    /// Bytes of the body outside pictures, escapes decoded: `\u0e01` counts three. Roles, tools and schemas count as they stand.
    var textBytes: Int64
    var messages: Int64
    var pictures: Int64

    /// The most tokens that a chat template adds to one message.
    static let tokensPerMessage: Int64 = 16

    /// Bounds the provider's count from above: a byte-level tokenizer makes at most one token of a byte.
    func tokensMax(_ limits: ModelLimits) -> Int64 {
        min(textBytes + messages * Self.tokensPerMessage, limits.contextTokens) + pictureTokens(limits)
    }

    /// Counts one token for two bytes. No common language needs more, but a hostile text can.
    func tokensLeast(_ limits: ModelLimits) -> Int64 {
        min((textBytes + messages * Self.tokensPerMessage + 1) / 2, limits.contextTokens) + pictureTokens(limits)
    }

    /// Counts one token for four bytes, as English has. Charged where the provider does not report the prompt.
    func tokensLikely(_ limits: ModelLimits) -> Int64 {
        min(max(1, textBytes / 4), limits.contextTokens) + pictureTokens(limits)
    }

    private func pictureTokens(_ limits: ModelLimits) -> Int64 { pictures * (limits.imageTokensMax ?? 0) }
}

extension PromptSize {
    /// Measures a request and refuses content whose price is not known.
    init(of request: JSONObject) throws(ChatRequest.Refusal) {
        self.init(textBytes: Self.decodedBytes(request.bytes[...]), messages: 0, pictures: 0)
        for (index, message) in try Self.elements(of: "messages", in: request).enumerated() {
            messages += 1
            try read(message, at: "messages[\(index)]")
        }
    }

    private static func elements(of name: String, in object: JSONObject) throws(ChatRequest.Refusal) -> [JSONValue] {
        do {
            return try object.array(name)
        } catch {
            throw .malformed("\(error)")
        }
    }

    private mutating func read(_ value: JSONValue, at place: String) throws(ChatRequest.Refusal) {
        guard let message = value.object else { throw .invalid(param: place, message: "\(place) must be an object.") }
        guard !message.has("audio") else {
            throw .invalid(param: "\(place).audio", message: "\(place).audio has no price here; remove it.")
        }
        guard let content = message.member("content") else { return }
        switch content.kind {
        case .string, .null: return
        case .array: break
        default:
            throw .invalid(param: "\(place).content", message: "\(place).content must be a string, an array or null.")
        }
        for (index, part) in try Self.elements(of: "content", in: message).enumerated() {
            if part.string == nil { try read(part: part, at: "\(place).content[\(index)]") }
        }
    }

    private mutating func read(part value: JSONValue, at place: String) throws(ChatRequest.Refusal) {
        guard let part = value.object else { throw .invalid(param: place, message: "\(place) must be an object.") }
        let type = (try? part.optionalString("type")) ?? nil
        guard let type, ["text", "refusal", "image_url"].contains(type) else {
            throw .invalid(
                param: "\(place).type",
                message: "\(place).type must be 'text', 'image_url' or 'refusal'; other content has no price here.")
        }
        // Servers differ in what makes a part a picture: its type, or the member.
        let picture = part.raw("image_url")
        guard type == "image_url" || picture != nil else { return }
        pictures += 1
        if let picture { textBytes -= Self.decodedBytes(picture) }
    }

    /// Counts the UTF-8 bytes of JSON text after its escapes are decoded. The text must be well-formed.
    static func decodedBytes(_ text: ArraySlice<UInt8>) -> Int64 {
        text.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            var count = bytes.count
            var at = 0
            while let found = memchr(base + at, 0x5C, bytes.count - at) {
                at = UnsafeRawPointer(found) - base
                let (written, decoded) = escape(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                count -= written - decoded
                at += written
            }
            return Int64(count)
        }
    }

    /// Returns the bytes of the escape that `text` begins with, and the bytes of the character that it stands for.
    private static func escape(_ text: UnsafeRawBufferPointer) -> (written: Int, decoded: Int) {
        guard text.count >= 6, text[1] == UInt8(ascii: "u") else { return (min(2, text.count), 1) }
        func digit(_ index: Int) -> UInt8 { text[index] | 0x20 }
        if digit(2) == UInt8(ascii: "d"), text[3] > UInt8(ascii: "7"), text.count >= 12 { return (12, 4) }
        if text[2] != UInt8(ascii: "0") || text[3] > UInt8(ascii: "7") { return (6, 3) }
        return (6, text[3] == UInt8(ascii: "0") && text[4] < UInt8(ascii: "8") ? 1 : 2)
    }
}
