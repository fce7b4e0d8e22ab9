import JSON

/// A message of a request as Anthropic takes it: text only. The texts stay in the bytes of the
/// request.
struct AnthropicMessage {
    let role: String
    /// The places of the texts in the bytes of the request: JSON strings with their quotes.
    let texts: [Range<Int>]

    var isSystem: Bool { ["system", "developer"].contains(role) }

    /// Reads all messages of a request.
    /// - Throws: the first message that is not text alone.
    static func all(of request: ModelRequest) throws(RequestFlaw) -> [AnthropicMessage] {
        guard let place = request.json.member("messages")?.valueRange else { return [] }
        let result: Result<[AnthropicMessage], RequestFlaw> = request.json.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return .success([]) }
            var (messages, flaw): ([AnthropicMessage], RequestFlaw?) = ([], nil)
            JSONScan(UnsafeRawBufferPointer(rebasing: bytes[place])).forEachElement { message in
                let reader = Reader(base: base, place: "messages[\(messages.count)]", model: request.model)
                do throws(RequestFlaw) { messages.append(try reader.message(message)) } catch { flaw = error }
                return flaw == nil
            }
            return flaw.map { .failure($0) } ?? .success(messages)
        }
        return try result.get()
    }

    private struct Reader {
        /// The first byte of the request.
        var base: UnsafeRawPointer
        /// The place of the message, as a client reads it.
        var place: String
        var model: String

        func message(_ message: JSONScan) throws(RequestFlaw) -> AnthropicMessage {
            let (role, content) = try members(of: message)
            guard let role = role?.string, ["system", "developer", "user", "assistant"].contains(role) else {
                throw flaw("role", "must be 'system', 'developer', 'user' or 'assistant' for this model.")
            }
            guard let texts = content.flatMap(texts(of:)) else { throw flaw("content", "must be a text or an array of text parts.") }
            return AnthropicMessage(role: role, texts: texts)
        }

        /// Returns the members that are translated. Refuses others, because they would be lost.
        private func members(of message: JSONScan) throws(RequestFlaw) -> (role: JSONScan?, content: JSONScan?) {
            var (role, content, found): (JSONScan?, JSONScan?, RequestFlaw?) = (nil, nil, nil)
            message.forEachMember { name, value in
                if Spelling(of: name, as: "role") == .same {
                    if role != nil { found = repeated("role") }
                    role = value
                } else if Spelling(of: name, as: "content") == .same {
                    if content != nil { found = repeated("content") }
                    content = value
                } else if Spelling(of: name, as: "name") != .same, !value.isNull {
                    found = flaw(MemberNames.text(of: name), "is not supported by the model '\(model)'; remove it.")
                }
                return found == nil
            }
            if let found { throw found }
            return (role, content)
        }

        /// Returns nil if the content is not text alone.
        private func texts(of content: JSONScan) -> [Range<Int>]? {
            if let text = range(ofText: content) { return [text] }
            guard content.bytes.first == UInt8(ascii: "[") else { return nil }
            var texts: [Range<Int>] = []
            var isText = true
            content.forEachElement { part in
                var (text, count, isOtherType) = (range(ofText: part), 0, false)
                part.forEachMember { name, value in
                    if Spelling(of: name, as: "text") == .same { (text, count) = (range(ofText: value), count + 1) }
                    if Spelling(of: name, as: "type") == .same { isOtherType = isOtherType || value.string != "text" }
                    return true
                }
                isText = text != nil && count <= 1 && !isOtherType
                if let text { texts.append(text) }
                return isText
            }
            return isText ? texts : nil
        }

        private func range(ofText value: JSONScan) -> Range<Int>? {
            guard value.bytes.first == UInt8(ascii: "\""), let start = value.bytes.baseAddress else { return nil }
            return (start - base)..<(start - base) + value.bytes.count
        }

        private func repeated(_ name: String) -> RequestFlaw { flaw(name, "is given more than once; send it once.") }

        private func flaw(_ member: String, _ rule: String) -> RequestFlaw {
            RequestFlaw(param: "\(place).\(member)", message: "\(place).\(member) \(rule)")
        }
    }
}
