import Glibc
import JSON

/// The size of a request's prompt, with bounds of its tokens before the provider counts them.
struct PromptSize: Hashable, Sendable {
    /// The bytes of the body outside pictures, with escapes decoded: `\u0e01` counts three. Roles,
    /// tools and schemas are counted as they are.
    var textBytes: Int64
    var messages: Int64
    var pictures: Int64

    /// The most tokens that a chat template adds to one message.
    static let tokensPerMessage: Int64 = 16

    /// Returns an upper bound of the provider's count: a byte-level tokenizer makes at most one
    /// token of a byte.
    func tokensMax(_ limits: ModelLimits) -> Int64 {
        min(textBytes + messages * Self.tokensPerMessage, limits.contextTokens) + pictureTokens(limits)
    }

    /// Returns one token for two bytes. No common language needs more tokens, but a hostile text
    /// can.
    func tokensLeast(_ limits: ModelLimits) -> Int64 {
        min((textBytes + messages * Self.tokensPerMessage + 1) / 2, limits.contextTokens) + pictureTokens(limits)
    }

    /// Returns one token for four bytes, as in English. It is the charge if the provider does not
    /// report the prompt.
    func tokensLikely(_ limits: ModelLimits) -> Int64 {
        min(max(1, textBytes / 4), limits.contextTokens) + pictureTokens(limits)
    }

    private func pictureTokens(_ limits: ModelLimits) -> Int64 { pictures * (limits.imageTokensMax ?? 0) }
}

extension PromptSize {
    /// Measures a request, and refuses content without a known price. Reads the bytes once, because
    /// a request may have millions of messages.
    init(of request: JSONObject) throws(ChatRequest.Refusal) {
        self.init(textBytes: Self.decodedBytes(request.bytes[...]), messages: 0, pictures: 0)
        guard let messages = request.raw("messages") else { return }
        let refusal: ChatRequest.Refusal? = messages.withUnsafeBytes { bytes in
            var refusal: ChatRequest.Refusal?
            JSONScan(bytes).forEachElement { message in
                refusal = read(message)
                self.messages += 1
                return refusal == nil
            }
            return refusal
        }
        if let refusal { throw refusal }
    }

    private mutating func read(_ message: JSONScan) -> ChatRequest.Refusal? {
        let place = "messages[\(messages)]"
        guard message.isObject else { return .invalid(param: place, message: "\(place) must be an object.") }
        var refusal: ChatRequest.Refusal?
        // Both values of a repeated member are read, because providers differ in which one they
        // use.
        message.forEachMember { name, value in
            if Self.isNamed("content", name) {
                refusal = read(content: value, at: place + ".content")
            } else if Self.isNamed("audio", name), !value.isNull {
                refusal = .invalid(param: place + ".audio", message: "\(place).audio has no price here; remove it.")
            }
            return refusal == nil
        }
        return refusal
    }

    private mutating func read(content: JSONScan, at place: String) -> ChatRequest.Refusal? {
        switch content.bytes.first {
        case UInt8(ascii: "\""), UInt8(ascii: "n"): return nil
        case UInt8(ascii: "["): break
        default: return .invalid(param: place, message: "\(place) must be a string, an array or null.")
        }
        var refusal: ChatRequest.Refusal?
        var index = 0
        content.forEachElement { part in
            if part.bytes.first != UInt8(ascii: "\"") { refusal = read(part: part, at: place, index) }
            index += 1
            return refusal == nil
        }
        return refusal
    }

    private mutating func read(part: JSONScan, at place: String, _ index: Int) -> ChatRequest.Refusal? {
        guard part.isObject else {
            return .invalid(param: "\(place)[\(index)]", message: "\(place)[\(index)] must be an object.")
        }
        var types: [String?] = []
        var isPicture = false
        part.forEachMember { name, value in
            if Self.isNamed("type", name) { types.append(value.string) }
            // Servers differ in which of these makes a part a picture: its type, or the member.
            if Self.isNamed("image_url", name) {
                isPicture = true
                textBytes -= Self.decodedBytes(value.bytes)
            }
            return true
        }
        guard !types.isEmpty, types.allSatisfy({ ["text", "refusal", "image_url"].contains($0) }) else {
            return .invalid(
                param: "\(place)[\(index)].type",
                message: "\(place)[\(index)].type must be 'text', 'image_url' or 'refusal'; other content has no price here.")
        }
        if isPicture || types.contains("image_url") { pictures += 1 }
        return nil
    }

    /// Compares a member's name, which may be written with escapes.
    private static func isNamed(_ expected: StaticString, _ name: UnsafeRawBufferPointer) -> Bool {
        guard name.contains(UInt8(ascii: "\\")) else {
            return name.count == expected.utf8CodeUnitCount && memcmp(name.baseAddress!, expected.utf8Start, name.count) == 0
        }
        let quoted = [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
        return quoted.withUnsafeBytes { JSONScan($0).string } == "\(expected)"
    }

    /// Counts the UTF-8 bytes of JSON text after its escapes are decoded. The text must be well-formed.
    static func decodedBytes(_ text: ArraySlice<UInt8>) -> Int64 { text.withUnsafeBytes { decodedBytes($0) } }

    private static func decodedBytes(_ text: UnsafeRawBufferPointer) -> Int64 {
        guard let base = text.baseAddress else { return 0 }
        var count = text.count
        var at = 0
        while let found = memchr(base + at, 0x5C, text.count - at) {
            at = UnsafeRawPointer(found) - base
            let (written, decoded) = escape(UnsafeRawBufferPointer(rebasing: text[at...]))
            count -= written - decoded
            at += written
        }
        return Int64(count)
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
