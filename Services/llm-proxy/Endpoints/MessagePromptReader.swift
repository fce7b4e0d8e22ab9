import Contracts
import JSON

/// The prompt of a Messages request: its size, and the writes to a cache that it asks for. Content
/// without a known price is refused.
struct MessagePrompt {
    private(set) var size: PromptSize
    /// The dearest write to a cache that a part of the request asks for.
    private(set) var cacheWrite: UsageUnit?
    private var refusal: RequestRefusal?

    init(of request: JSONObject) throws(RequestRefusal) {
        size = PromptSize(textBytes: Int64(request.decodedCount), messages: 0, pictures: 0)
        for name in ["cache_control", "system", "tools", "messages"] {
            guard let raw = request.raw(name) else { continue }
            raw.withUnsafeBytes { read(JSONScan($0), name) }
            if let refusal { throw refusal }
        }
    }

    private mutating func read(_ value: JSONScan, _ name: String) {
        switch name {
        case "cache_control": note(cacheControl: value) { "cache_control" }
        case "system": read(content: value) { "system" }
        case "tools":
            forEachElement(of: value) { prompt, index, tool in
                let found = prompt.members(["cache_control"], of: tool) { "tools[\(index)]" }
                prompt.note(cacheControl: found[0]) { "tools[\(index)].cache_control" }
            }
        default:
            forEachElement(of: value) { prompt, index, message in
                prompt.size.messages += 1
                let found = prompt.members(["content", "role"], of: message) { "messages[\(index)]" }
                if let content = found[0] { prompt.read(content: content) { "messages[\(index)].content" } }
            }
        }
    }

    private mutating func read(content: JSONScan, at place: () -> String) {
        switch content.bytes.first {
        case UInt8(ascii: "\""), UInt8(ascii: "n"): break
        case UInt8(ascii: "["):
            forEachElement(of: content) { prompt, index, block in prompt.read(block: block) { "\(place())[\(index)]" } }
        default: refuse(place(), "must be a string or an array of blocks.")
        }
    }

    private mutating func read(block: JSONScan, at place: () -> String) {
        let found = members(["type", "source", "content", "cache_control", "transformations"], of: block, at: place)
        guard refusal == nil else { return }
        note(cacheControl: found[3]) { "\(place()).cache_control" }
        switch found[0]?.string {
        case "text", "thinking", "redacted_thinking", "tool_use": break
        case "tool_result", "search_result":
            if let content = found[2] { read(content: content) { "\(place()).content" } }
        case "image":
            if let changes = found[4], !changes.isNull { refuse("\(place()).transformations", "has no price here; remove it.") }
            read(picture: found[1]) { "\(place()).source" }
        case "document": read(document: found[1]) { "\(place()).source" }
        default:
            refuse(
                "\(place()).type",
                "must be text, image, tool_use, tool_result, thinking, redacted_thinking, document or search_result; other content has no price here."
            )
        }
    }

    private mutating func read(picture source: JSONScan?, at place: () -> String) {
        guard let source else { return refuse(place(), "is missing.") }
        let found = members(["type"], of: source, at: place)
        guard let type = found[0]?.string, type == "base64" || type == "url" else {
            return refuse("\(place()).type", "must be 'base64' or 'url'; another picture has no price here.")
        }
        size.pictures += 1
        size.textBytes -= Int64(source.decodedCount)
    }

    /// The pages of a PDF have no price yet.
    private mutating func read(document source: JSONScan?, at place: () -> String) {
        guard let source else { return refuse(place(), "is missing.") }
        let found = members(["type", "content"], of: source, at: place)
        switch found[0]?.string {
        case "text": break
        case "content": if let content = found[1] { read(content: content) { "\(place()).content" } }
        default: refuse("\(place()).type", "must be 'text' or 'content'; another document has no price here.")
        }
    }

    private mutating func note(cacheControl value: JSONScan?, at place: () -> String) {
        guard let value, !value.isNull, refusal == nil else { return }
        let found = members(["type", "ttl"], of: value, at: place)
        guard let ttl = found[1], !ttl.isNull else { return cacheWrite = cacheWrite ?? .cacheWrite }
        switch ttl.string {
        case "5m": cacheWrite = cacheWrite ?? .cacheWrite
        case "1h": cacheWrite = .cacheWrite1h
        default: refuse("\(place()).ttl", "must be '5m' or '1h'.")
        }
    }

    // MARK: Members and elements

    /// Returns the values of these members. Refuses a member that stands twice or in another letter case,
    /// because providers differ in which one they use.
    private mutating func members(_ names: [StaticString], of object: JSONScan, at place: () -> String) -> [JSONScan?] {
        var found = [JSONScan?](repeating: nil, count: names.count)
        guard object.isObject else {
            refuse(place(), "must be an object.")
            return found
        }
        object.forEachMember { name, value in
            for (index, our) in names.enumerated() {
                switch Spelling(of: name, as: our) {
                case .different: continue
                case .otherCase:
                    let written = "\(place()).\(MemberNames.text(of: name))"
                    refuse(written, "differs from \(our) only in letter case; write \(our).")
                case .same where found[index] != nil: refuse("\(place()).\(our)", "is given more than once; send it once.")
                case .same: found[index] = value
                }
            }
            return refusal == nil
        }
        return found
    }

    /// Calls `body` with each element, until one is refused. A value that is no array has none.
    private mutating func forEachElement(of array: JSONScan, _ body: (inout MessagePrompt, Int, JSONScan) -> Void) {
        var index = 0
        array.forEachElement { element in
            body(&self, index, element)
            index += 1
            return refusal == nil
        }
    }

    /// - Parameter rule: the rest of a sentence that starts with the place.
    private mutating func refuse(_ place: String, _ rule: String) {
        if refusal == nil { refusal = .invalid(param: place, message: "\(place) \(rule)") }
    }
}
