import JSON

/// A message of a Messages request as OpenAI takes it. Texts and pictures stay in the bytes of the
/// request. The endpoint has checked the types of blocks, and that their members stand once.
struct MessageTurn {
    /// The places are those of JSON values in the request, strings with their quotes.
    enum Block {
        case text(Range<Int>)
        case picture(Picture)
        case call(id: Range<Int>, name: Range<Int>, input: Range<Int>)
        case result(id: Range<Int>, isError: Bool, texts: [Range<Int>])
    }

    enum Picture {
        case data(mediaType: String, base64: Range<Int>)
        case url(Range<Int>)
    }

    var role: String
    var blocks: [Block]

    /// Reads the system prompt and all messages of a request.
    /// - Throws: the first part that cannot be translated.
    static func all(of request: ModelRequest) throws(RequestFlaw) -> [MessageTurn] {
        let json = request.json
        let result: Result<[MessageTurn], RequestFlaw> = json.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return .success([]) }
            func scan(_ name: String) -> JSONScan? {
                json.has(name) ? json.member(name).map { JSONScan(UnsafeRawBufferPointer(rebasing: bytes[$0.valueRange])) } : nil
            }
            var (turns, flaw): ([MessageTurn], RequestFlaw?) = ([], nil)
            let reader = MessageTurnReader(base: base)
            func take(_ read: () throws(RequestFlaw) -> MessageTurn) {
                do throws(RequestFlaw) { turns.append(try read()) } catch { flaw = error }
            }
            if let system = scan("system") {
                take { () throws(RequestFlaw) in
                    MessageTurn(role: "system", blocks: try reader.blocks(of: system, role: "system", at: "system"))
                }
            }
            var index = 0
            scan("messages")?.forEachElement { message in
                guard flaw == nil else { return false }
                take { () throws(RequestFlaw) in try reader.turn(message, at: "messages[\(index)]") }
                index += 1
                return flaw == nil
            }
            return flaw.map { .failure($0) } ?? .success(turns)
        }
        return try result.get()
    }
}

private struct MessageTurnReader {
    /// The first byte of the request.
    var base: UnsafeRawPointer

    private static let mediaTypes: Set<String> = ["image/jpeg", "image/png", "image/gif", "image/webp"]

    func turn(_ message: JSONScan, at place: String) throws(RequestFlaw) -> MessageTurn {
        guard let role = message["role"]?.string, ["user", "assistant", "system"].contains(role) else {
            throw flaw("\(place).role", "must be 'user', 'assistant' or 'system'.")
        }
        guard let content = message["content"] else { throw flaw("\(place).content", "is missing.") }
        return MessageTurn(role: role, blocks: try blocks(of: content, role: role, at: "\(place).content"))
    }

    func blocks(of content: JSONScan, role: String, at place: String) throws(RequestFlaw) -> [MessageTurn.Block] {
        if let text = text(content) { return [.text(text)] }
        var (blocks, found): ([MessageTurn.Block], RequestFlaw?) = ([], nil)
        var index = 0
        content.forEachElement { block in
            do throws(RequestFlaw) {
                if let block = try self.block(block, role: role, at: "\(place)[\(index)]") { blocks.append(block) }
            } catch {
                found = error
            }
            index += 1
            return found == nil
        }
        if let found { throw found }
        return blocks
    }

    /// Returns nil for a thought, because no other model can read it.
    private func block(_ block: JSONScan, role: String, at place: String) throws(RequestFlaw) -> MessageTurn.Block? {
        switch (block["type"]?.string, role) {
        case ("text", _):
            guard let text = block["text"].flatMap(text) else { throw flaw("\(place).text", "must be a string.") }
            return .text(text)
        case ("thinking", "assistant"), ("redacted_thinking", "assistant"): return nil
        case ("image", "user"): return .picture(try picture(block, at: place))
        case ("tool_use", "assistant"):
            guard let id = block["id"].flatMap(text), let name = block["name"].flatMap(text), let input = block["input"], input.isObject
            else {
                throw flaw(place, "must have an id, a name, and an input that is an object.")
            }
            return .call(id: id, name: name, input: range(input))
        case ("tool_result", "user"):
            guard let id = block["tool_use_id"].flatMap(text) else { throw flaw("\(place).tool_use_id", "must be a string.") }
            let content = block["content"].flatMap { $0.isNull ? nil : $0 }
            let parts =
                try content.map { content throws(RequestFlaw) in try blocks(of: content, role: "tool", at: "\(place).content") } ?? []
            let texts = parts.compactMap { if case .text(let text) = $0 { text } else { nil } }
            return .result(id: id, isError: block["is_error"].map { "true".utf8.elementsEqual($0.bytes) } ?? false, texts: texts)
        case (let type, _):
            throw flaw("\(place).type", "'\(type ?? "")' is not supported by this model in a message of this role; remove it.")
        }
    }

    private func picture(_ block: JSONScan, at place: String) throws(RequestFlaw) -> MessageTurn.Picture {
        let source = block["source"]
        if source?["type"]?.string == "url", let url = source?["url"].flatMap(text) { return .url(url) }
        guard let mediaType = source?["media_type"]?.string, Self.mediaTypes.contains(mediaType), let data = source?["data"].flatMap(text)
        else { throw flaw("\(place).source", "must have a url, or the data and the media_type of a JPEG, PNG, GIF or WebP.") }
        return .data(mediaType: mediaType, base64: data.lowerBound + 1..<data.upperBound - 1)
    }

    private func range(_ value: JSONScan) -> Range<Int> {
        let start = value.bytes.baseAddress.map { $0 - base } ?? 0
        return start..<start + value.bytes.count
    }

    private func text(_ value: JSONScan) -> Range<Int>? { value.bytes.first == UInt8(ascii: "\"") ? range(value) : nil }

    private func flaw(_ param: String, _ rule: String) -> RequestFlaw { RequestFlaw(param: param, message: "\(param) \(rule)") }
}
