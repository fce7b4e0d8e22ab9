import JSON

/// A message of a chat completion request as Anthropic takes it. Texts and pictures stay in the bytes
/// of the request.
struct AnthropicMessage {
    /// The places are those of JSON strings with their quotes.
    enum Block {
        case text(Range<Int>)
        case picture(AnthropicPicture)
        /// - input: the arguments as a JSON object.
        case call(id: Range<Int>, name: Range<Int>, input: [UInt8])
        case result(id: Range<Int>, texts: [Range<Int>])
    }

    let role: String
    var blocks: [Block]

    var isSystem: Bool { ["system", "developer"].contains(role) }
    /// True for results of tools, which are messages of the user.
    var isResult: Bool { role == "tool" }

    /// Reads all messages of a request. Results of tools that follow each other become one message.
    /// - Throws: the first message that cannot be translated.
    static func all(of request: ModelRequest) throws(RequestFlaw) -> [AnthropicMessage] {
        guard let place = request.json.member("messages")?.valueRange else { return [] }
        let result: Result<[AnthropicMessage], RequestFlaw> = request.json.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return .success([]) }
            var (messages, flaw): ([AnthropicMessage], RequestFlaw?) = ([], nil)
            var index = 0
            JSONScan(UnsafeRawBufferPointer(rebasing: bytes[place])).forEachElement { message in
                let reader = ChatMessageReader(base: base, place: "messages[\(index)]", model: request.model)
                index += 1
                do throws(RequestFlaw) {
                    let read = try reader.message(message)
                    if read.isResult, let last = messages.indices.last, messages[last].isResult {
                        messages[last].blocks += read.blocks
                    } else {
                        messages.append(read)
                    }
                } catch {
                    flaw = error
                }
                return flaw == nil
            }
            return flaw.map { .failure($0) } ?? .success(messages)
        }
        return try result.get()
    }
}

/// A picture of a chat completion request: bytes in a data URL, or an address.
enum AnthropicPicture {
    case data(mediaType: String, base64: Range<Int>)
    /// The place of the address with its quotes.
    case url(Range<Int>)

    private static let mediaTypes: Set<String> = ["image/jpeg", "image/png", "image/gif", "image/webp"]

    /// - Parameter start: the place of the text in the request.
    /// - Returns: nil for a picture that Anthropic does not take.
    init?(_ url: JSONScan, at start: Int) {
        let bytes = url.bytes
        guard bytes.count > 2, bytes.first == UInt8(ascii: "\"") else { return nil }
        // The head may have escapes. The bytes behind it are copied as they are written.
        guard let comma = bytes.firstIndex(of: UInt8(ascii: ",")), comma <= 64,
            let head = (Array(bytes[..<comma]) + [UInt8(ascii: "\"")]).withUnsafeBytes({ JSONScan($0).string }), head.hasPrefix("data:")
        else {
            guard let address = url.string, address.hasPrefix("https://") else { return nil }
            self = .url(start..<start + bytes.count)
            return
        }
        let mediaType = String(head.dropFirst(5).prefix { $0 != ";" })
        guard head == "data:\(mediaType);base64", Self.mediaTypes.contains(mediaType) else { return nil }
        self = .data(mediaType: mediaType, base64: start + comma + 1..<start + bytes.count - 1)
    }
}

/// The reader of one message of a chat completion request.
struct ChatMessageReader {
    /// The first byte of the request.
    var base: UnsafeRawPointer
    /// The place of the message, as a client reads it.
    var place: String
    var model: String

    private struct Members {
        var role: JSONScan?
        var content: JSONScan?
        var calls: JSONScan?
        var callID: JSONScan?
    }

    func message(_ message: JSONScan) throws(RequestFlaw) -> AnthropicMessage {
        let found = try members(of: message)
        guard let role = found.role?.string, ["system", "developer", "user", "assistant", "tool"].contains(role) else {
            throw flaw("role", "must be 'system', 'developer', 'user', 'assistant' or 'tool' for this model.")
        }
        guard role == "assistant" || found.calls == nil else { throw flaw("tool_calls", "is for messages of the assistant; remove it.") }
        guard role == "tool" || found.callID == nil else { throw flaw("tool_call_id", "is for messages of a tool; remove it.") }
        let calls = try found.calls.map { calls throws(RequestFlaw) in try self.calls(calls) } ?? []
        var blocks: [AnthropicMessage.Block] = []
        if let content = found.content {
            blocks = try self.blocks(of: content, mayHavePictures: role == "user")
        } else if calls.isEmpty {
            throw flaw("content", "must be a text or an array of parts.")
        }
        guard role == "tool" else { return AnthropicMessage(role: role, blocks: blocks + calls) }
        guard let id = found.callID.flatMap(range(ofText:)) else { throw flaw("tool_call_id", "must be the id of a tool call.") }
        let texts = blocks.compactMap { if case .text(let text) = $0 { text } else { nil } }
        return AnthropicMessage(role: role, blocks: [.result(id: id, texts: texts)])
    }

    /// Returns the members that are translated. Refuses others, because they would be lost, except what
    /// a model said about its answer.
    private func members(of message: JSONScan) throws(RequestFlaw) -> Members {
        var (members, found): (Members, RequestFlaw?) = (Members(), nil)
        func take(_ member: inout JSONScan?, _ name: String, _ value: JSONScan) {
            if member != nil { found = flaw(name, "is given more than once; send it once.") }
            member = value
        }
        message.forEachMember { name, value in
            if Spelling(of: name, as: "role") == .same {
                take(&members.role, "role", value)
            } else if value.isNull {
                return true
            } else if Spelling(of: name, as: "content") == .same {
                take(&members.content, "content", value)
            } else if Spelling(of: name, as: "tool_calls") == .same {
                take(&members.calls, "tool_calls", value)
            } else if Spelling(of: name, as: "tool_call_id") == .same {
                take(&members.callID, "tool_call_id", value)
            } else if !Self.unread.contains(where: { Spelling(of: name, as: $0) == .same }) {
                found = flaw(MemberNames.text(of: name), "is not supported by the model '\(model)'; remove it.")
            }
            return found == nil
        }
        if let found { throw found }
        return members
    }

    /// A thought without its signature means nothing to Anthropic.
    private static let unread: [StaticString] = ["name", "reasoning_content", "reasoning", "annotations"]

    // MARK: Content

    private func blocks(of content: JSONScan, mayHavePictures: Bool) throws(RequestFlaw) -> [AnthropicMessage.Block] {
        if let text = range(ofText: content) { return text.count > 2 ? [.text(text)] : [] }
        let rule = mayHavePictures ? "must be a text or an array of texts and pictures." : "must be a text or an array of text parts."
        guard content.bytes.first == UInt8(ascii: "[") else { throw flaw("content", rule) }
        var blocks: [AnthropicMessage.Block] = []
        var (isKnown, index) = (true, 0)
        var found: RequestFlaw?
        content.forEachElement { part in
            let (text, picture) = read(part)
            switch (text, picture) {
            case (let text?, nil): if text.count > 2 { blocks.append(.text(text)) }
            case (nil, let url?) where mayHavePictures:
                if let start = offset(of: url), let picture = AnthropicPicture(url, at: start) {
                    blocks.append(.picture(picture))
                } else {
                    found = flaw(
                        "content[\(index)].image_url",
                        "must have an https address, or a data URL of a JPEG, PNG, GIF or WebP in base64.")
                }
            default: isKnown = false
            }
            index += 1
            return isKnown && found == nil
        }
        if let found { throw found }
        guard isKnown else { throw flaw("content", rule) }
        return blocks
    }

    /// Returns the text or the address of a picture that a part has. Both are nil for another part.
    private func read(_ part: JSONScan) -> (text: Range<Int>?, picture: JSONScan?) {
        if let text = range(ofText: part) { return (text, nil) }
        var (types, texts, pictures): ([String], [JSONScan], [JSONScan]) = ([], [], [])
        part.forEachMember { name, value in
            if Spelling(of: name, as: "type") == .same { types.append(value.string ?? "") }
            if Spelling(of: name, as: "text") == .same { texts.append(value) }
            if Spelling(of: name, as: "image_url") == .same { pictures.append(value) }
            return true
        }
        switch (types, texts.count, pictures.count) {
        case ([], 1, 0), (["text"], 1, 0): return (range(ofText: texts[0]), nil)
        case (["image_url"], 0, 1): return (nil, url(of: pictures[0]))
        default: return (nil, nil)
        }
    }

    /// Reads `{"url","detail"}`. Anthropic has no detail of its own, so it is not read.
    private func url(of picture: JSONScan) -> JSONScan? {
        if picture.bytes.first == UInt8(ascii: "\"") { return picture }
        var urls: [JSONScan] = []
        picture.forEachMember { name, value in
            if Spelling(of: name, as: "url") == .same { urls.append(value) }
            return true
        }
        return urls.count == 1 ? urls[0] : nil
    }

    // MARK: Calls of tools

    private func calls(_ calls: JSONScan) throws(RequestFlaw) -> [AnthropicMessage.Block] {
        guard calls.bytes.first == UInt8(ascii: "[") else { throw flaw("tool_calls", "must be an array.") }
        var (blocks, found): ([AnthropicMessage.Block], RequestFlaw?) = ([], nil)
        var index = 0
        calls.forEachElement { call in
            do throws(RequestFlaw) {
                blocks.append(try self.call(call, "tool_calls[\(index)]"))
            } catch {
                found = error
            }
            index += 1
            return found == nil
        }
        if let found { throw found }
        return blocks
    }

    private func call(_ call: JSONScan, _ member: String) throws(RequestFlaw) -> AnthropicMessage.Block {
        guard call["type"].map({ $0.string == "function" }) ?? true, let function = call["function"],
            let id = call["id"].flatMap(range(ofText:)), let name = function["name"].flatMap(range(ofText:))
        else { throw flaw(member, "must have an id, and a function with a name.") }
        let arguments = function["arguments"]?.string ?? ""
        let input = arguments.isEmpty ? Array("{}".utf8) : Array(arguments.utf8)
        guard (try? JSONObject(input)) != nil else { throw flaw("\(member).function.arguments", "must be the text of a JSON object.") }
        return .call(id: id, name: name, input: input)
    }

    // MARK: Places

    private func offset(of value: JSONScan) -> Int? { value.bytes.baseAddress.map { $0 - base } }

    private func range(ofText value: JSONScan) -> Range<Int>? {
        guard value.bytes.first == UInt8(ascii: "\""), let start = offset(of: value) else { return nil }
        return start..<start + value.bytes.count
    }

    private func flaw(_ member: String, _ rule: String) -> RequestFlaw {
        RequestFlaw(param: "\(place).\(member)", message: "\(place).\(member) \(rule)")
    }
}
