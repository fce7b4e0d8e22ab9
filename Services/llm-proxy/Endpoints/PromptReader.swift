import JSON

extension PromptSize {
    /// Measures a request, and refuses content without a known price. Reads the bytes in a
    /// fixed number of passes, because a request may have hundreds of thousands of messages.
    init(of request: JSONObject) throws(RequestRefusal) {
        self.init(textBytes: Int64(request.decodedCount), messages: 0, pictures: 0)
        guard let messages = request.raw("messages") else { return }
        let refusal: RequestRefusal? = messages.withUnsafeBytes { bytes in
            var refusal: RequestRefusal?
            JSONScan(bytes).forEachElement { message in
                refusal = read(message)
                self.messages += 1
                return refusal == nil
            }
            return refusal
        }
        if let refusal { throw refusal }
    }

    private mutating func read(_ message: JSONScan) -> RequestRefusal? {
        let index = messages
        guard message.isObject else { return .invalid("messages[\(index)]", "must be an object.") }
        var refusal: RequestRefusal?
        // Both values of a repeated member are read, because providers differ in which one they
        // use.
        message.forEachMember { name, value in
            if Spelling(of: name, as: "content") == .same {
                refusal = read(content: value, ofMessage: index)
            } else if Spelling(of: name, as: "audio") == .same {
                if !value.isNull { refusal = .invalid("messages[\(index)].audio", "has no price here; remove it.") }
            } else {
                let flaw =
                    PricedMembers.cacheFlaw(name, value, in: "messages[\(index)]")
                    ?? MemberNames.flaw(ofMessageMember: name, at: "messages[\(index)].")
                refusal = flaw.map(RequestRefusal.init)
            }
            return refusal == nil
        }
        return refusal
    }

    private mutating func read(content: JSONScan, ofMessage message: Int64) -> RequestRefusal? {
        switch content.bytes.first {
        case UInt8(ascii: "\""), UInt8(ascii: "n"): return nil
        case UInt8(ascii: "["): break
        default: return .invalid("messages[\(message)].content", "must be a string, an array or null.")
        }
        var refusal: RequestRefusal?
        var index = 0
        content.forEachElement { part in
            if part.bytes.first != UInt8(ascii: "\"") { refusal = read(part: part, index, ofMessage: message) }
            index += 1
            return refusal == nil
        }
        return refusal
    }

    private mutating func read(part: JSONScan, _ index: Int, ofMessage message: Int64) -> RequestRefusal? {
        guard part.isObject else { return .invalid("messages[\(message)].content[\(index)]", "must be an object.") }
        var (hasType, isKnown, isPicture) = (false, true, false)
        var refusal: RequestRefusal?
        part.forEachMember { name, value in
            if Spelling(of: name, as: "type") == .same {
                hasType = true
                let isImage = Self.isText("image_url", value)
                isPicture = isPicture || isImage
                isKnown = isKnown && (isImage || Self.isText("text", value) || Self.isText("refusal", value))
            }
            // Servers differ in which of these makes a part a picture: its type, or the member.
            if Spelling(of: name, as: "image_url") == .same {
                isPicture = true
                textBytes -= Int64(value.decodedCount)
            }
            let flaw =
                PricedMembers.cacheFlaw(name, value, in: "messages[\(message)].content[\(index)]")
                ?? MemberNames.flaw(ofPartMember: name, at: "messages[\(message)].content[\(index)].")
            refusal = flaw.map(RequestRefusal.init)
            return refusal == nil
        }
        if let refusal { return refusal }
        guard hasType, isKnown else {
            return .invalid(
                "messages[\(message)].content[\(index)].type", "must be 'text', 'image_url' or 'refusal'; other content has no price here.")
        }
        if isPicture { pictures += 1 }
        return nil
    }

    /// Makes no string: a request may have hundreds of thousands of parts.
    static func isText(_ expected: StaticString, _ value: JSONScan) -> Bool {
        guard value.bytes.first == UInt8(ascii: "\""), value.bytes.count >= 2 else { return false }
        return Spelling(of: UnsafeRawBufferPointer(rebasing: value.bytes[1..<value.bytes.count - 1]), as: expected) == .same
    }
}

extension RequestRefusal {
    /// - Parameter rule: the rest of a sentence that starts with the place.
    fileprivate static func invalid(_ place: String, _ rule: String) -> Self { .invalid(param: place, message: "\(place) \(rule)") }
}
