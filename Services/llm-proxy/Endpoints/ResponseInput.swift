import JSON

extension PromptSize {
    /// Measures a request of the surface `responses`, and refuses items without a known price. Reads the
    /// bytes in a fixed number of passes, because a request may have many thousand items.
    init(ofInput request: JSONObject) throws(RequestRefusal) {
        self.init(textBytes: Int64(request.decodedCount), messages: 0, pictures: 0)
        guard let input = request.raw("input"), request.has("input") else { throw .json(.missing("input")) }
        switch input.first {
        case UInt8(ascii: "\""): messages = 1
        case UInt8(ascii: "["):
            let refusal = input.withUnsafeBytes { read(items: JSONScan($0)) }
            if let refusal { throw refusal }
        default: throw .json(.wrongType("input", expected: "a string or an array"))
        }
    }

    private mutating func read(items: JSONScan) -> RequestRefusal? {
        var refusal: RequestRefusal?
        items.forEachElement { item in
            do throws(RequestRefusal) { try read(item, at: InputPlace(item: messages)) } catch { refusal = error }
            messages += 1
            return refusal == nil
        }
        return refusal
    }

    private mutating func read(_ item: JSONScan, at place: InputPlace) throws(RequestRefusal) {
        let members = try InputMembers(item, InputMembers.ofItem, at: place)
        // Some clients leave the type of a message out. Without a role, the item names a stored one.
        if members.type == nil ? members["role"] != nil : members.isOfType("message") {
            try read(parts: members["content"], at: place.list("content"))
        } else if members.isOfType("function_call_output", "custom_tool_call_output") {
            try read(parts: members["output"], at: place.list("output"))
        } else if members.isOfType("reasoning") {
            // Without its thoughts, the item names a stored one.
            guard members["encrypted_content"] != nil || members["content"] != nil else {
                throw place.invalid(".encrypted_content", "is missing, and no response is stored here; send the item as it came.")
            }
            try read(parts: members["content"], at: place.list("content"))
            try read(parts: members["summary"], at: place.list("summary"))
        } else if !members.isOfType("function_call", "custom_tool_call") {
            throw place.invalid(
                ".type",
                "must be 'message', 'function_call', 'function_call_output', 'custom_tool_call', 'custom_tool_call_output' or "
                    + "'reasoning'; other items have no price here.")
        }
    }

    /// Reads the text, or the parts, of a message or of a tool's output.
    private mutating func read(parts: JSONScan?, at place: InputPlace) throws(RequestRefusal) {
        guard let parts, parts.bytes.first != UInt8(ascii: "\"") else { return }
        guard parts.bytes.first == UInt8(ascii: "[") else { throw place.invalid("", "must be a string or an array.") }
        var (refusal, index): (RequestRefusal?, Int) = (nil, 0)
        parts.forEachElement { part in
            do throws(RequestRefusal) { try read(part: part, at: place.part(index)) } catch { refusal = error }
            index += 1
            return refusal == nil
        }
        if let refusal { throw refusal }
    }

    private mutating func read(part: JSONScan, at place: InputPlace) throws(RequestRefusal) {
        let members = try InputMembers(part, InputMembers.ofPart, at: place)
        let isPicture = members.isOfType("input_image")
        guard isPicture || members.isOfType("input_text", "output_text", "refusal", "reasoning_text", "summary_text") else {
            throw place.invalid(
                ".type", "must be 'input_text', 'output_text', 'refusal' or 'input_image'; other content has no price here.")
        }
        if let flaw = PricedMembers.cacheTimeFlaw(members["prompt_cache_breakpoint"], in: "\(place)") { throw RequestRefusal(flaw) }
        // Servers differ in which of these makes a part a picture: its type, or the member.
        guard isPicture || members["image_url"] != nil else { return }
        if let detail = members["detail"], !["auto", "low", "high"].contains(detail.string) {
            throw place.invalid(".detail", "must be 'auto', 'low' or 'high'; anything else has no price here.")
        }
        textBytes -= Int64(members["image_url"]?.decodedCount ?? 0)
        pictures += 1
    }
}

/// The place of an item, or of a part of one, as a client reads it.
private struct InputPlace: CustomStringConvertible {
    var item: Int64
    var list: StaticString?
    var part: Int?

    func list(_ list: StaticString) -> InputPlace { InputPlace(item: item, list: list) }
    func part(_ part: Int) -> InputPlace { InputPlace(item: item, list: list, part: part) }

    var description: String { "input[\(item)]" + (list.map { ".\($0)" } ?? "") + (part.map { "[\($0)]" } ?? "") }

    /// - Parameter rule: the rest of a sentence that starts with the member.
    func invalid(_ member: String, _ rule: String) -> RequestRefusal {
        .invalid(param: "\(self)\(member)", message: "\(self)\(member) \(rule)")
    }
}

/// The members of an item, or of a part of one, that the gateway reads.
private struct InputMembers {
    static let ofItem: [StaticString] = ["type", "role", "content", "output", "summary", "encrypted_content", "file_id"]
    static let ofPart: [StaticString] = ["type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"]

    private let ours: [StaticString]
    /// The values in the order of ``ours``.
    private var values: [JSONScan?]

    /// - Throws: a member that is given twice, because providers differ in which one they use; one that
    ///   differs from ours in letter case only; and one that has no price.
    init(_ object: JSONScan, _ ours: [StaticString], at place: InputPlace) throws(RequestRefusal) {
        guard object.isObject else { throw place.invalid("", "must be an object.") }
        (self.ours, values) = (ours, [JSONScan?](repeating: nil, count: ours.count))
        var refusal: RequestRefusal?
        object.forEachMember { name, value in
            let flaw = PricedMembers.cacheFlaw(name, value, in: "\(place)") ?? MemberNames.flaw(of: name, ours, at: "\(place).")
            refusal = flaw.map(RequestRefusal.init)
            guard refusal == nil, let index = ours.firstIndex(where: { Spelling(of: name, as: $0) == .same }) else { return refusal == nil }
            if values[index] != nil { refusal = place.invalid(".\(ours[index])", "is given more than once; send it once.") }
            values[index] = value
            return refusal == nil
        }
        if let refusal { throw refusal }
        if self["file_id"] != nil { throw place.invalid(".file_id", "names a stored file, which has no price here; send its data.") }
    }

    /// Nil for an absent member and for null.
    subscript(name: String) -> JSONScan? {
        guard let index = ours.firstIndex(where: { $0.description == name }), let value = values[index] else { return nil }
        return value.isNull ? nil : value
    }

    var type: JSONScan? { self["type"] }

    func isOfType(_ names: StaticString...) -> Bool {
        guard let type else { return false }
        return names.contains { PromptSize.isText($0, type) }
    }
}
