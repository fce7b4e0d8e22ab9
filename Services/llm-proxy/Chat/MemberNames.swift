import JSON

/// Refuses members whose names differ only in letter case from names that the gateway reads or
/// writes.
///
/// A provider may match names without regard to letter case, and take the last of two values. It
/// would then answer another request than the gateway holds credits for.
enum MemberNames {
    private static let ofRequest =
        ["model", "messages", "stream", "stream_options", "n", "logprobs", "top_logprobs"]
        + ModelLimits.OutputLimitMember.allCases.map(\.rawValue)
    private static let ofStreamOptions = ["include_usage"]
    private static let ofMessage = ["content", "audio"]
    private static let ofPart = ["type", "image_url"]

    static func check(_ request: JSONObject) throws(ChatRequest.Refusal) {
        for member in request.members {
            if let refusal = refusal(ofText: member.name, ofRequest, at: "") { throw refusal }
        }
        for member in (try? request.optionalObject("stream_options"))?.members ?? [] {
            if let refusal = refusal(ofText: member.name, ofStreamOptions, at: "stream_options.") { throw refusal }
        }
        if let refusal = request.raw("messages")?.withUnsafeBytes({ refusal(ofMessages: JSONScan($0)) }) { throw refusal }
    }

    private static func refusal(ofMessages messages: JSONScan) -> ChatRequest.Refusal? {
        var refusal: ChatRequest.Refusal?
        var index = 0
        messages.forEachElement { message in
            message.forEachMember { name, value in
                refusal = self.refusal(of: name, ofMessage, at: "messages[\(index)].")
                if refusal == nil, isContent(name) { refusal = self.refusal(ofContent: value, at: "messages[\(index)].content") }
                return refusal == nil
            }
            index += 1
            return refusal == nil
        }
        return refusal
    }

    private static func refusal(ofContent content: JSONScan, at place: @autoclosure () -> String) -> ChatRequest.Refusal? {
        var refusal: ChatRequest.Refusal?
        var index = 0
        content.forEachElement { part in
            part.forEachMember { name, _ in
                refusal = self.refusal(of: name, ofPart, at: "\(place())[\(index)].")
                return refusal == nil
            }
            index += 1
            return refusal == nil
        }
        return refusal
    }

    /// Checks a name as it is in the text, without its quotes. A body can have millions of names, so
    /// a common name makes no string.
    private static func refusal(
        of name: UnsafeRawBufferPointer, _ ours: [String], at place: @autoclosure () -> String
    ) -> ChatRequest.Refusal? {
        isSmall(name) ? nil : refusal(ofText: text(of: name), ours, at: place())
    }

    private static func refusal(ofText name: String, _ ours: [String], at place: @autoclosure () -> String) -> ChatRequest.Refusal? {
        guard !isSmall(name.utf8) else { return nil }
        let folded = folded(name)
        guard let our = ours.first(where: { $0 == folded }) else { return nil }
        let param = place() + name
        return .invalid(param: param, message: "\(param) differs from \(our) only in letter case; write \(our).")
    }

    /// Returns whether the name has small letters and `_` only. It is then one of ours, or differs in
    /// more than letter case.
    private static func isSmall(_ name: some Sequence<UInt8>) -> Bool { name.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F } }

    private static func isContent(_ name: UnsafeRawBufferPointer) -> Bool {
        name.elementsEqual("content".utf8) || name.contains(UInt8(ascii: "\\")) && text(of: name) == "content"
    }

    /// Writes letters small. Unicode has two more letters that fold to ASCII: the long s and the
    /// Kelvin sign.
    private static func folded(_ name: String) -> String {
        var folded = String.UnicodeScalarView()
        for scalar in name.unicodeScalars {
            switch scalar {
            case "A"..."Z": folded.append(Unicode.Scalar(UInt8(scalar.value) | 0x20))
            case "\u{17F}": folded.append("s")
            case "\u{212A}": folded.append("k")
            default: folded.append(scalar)
            }
        }
        return String(folded)
    }

    /// Decodes a name as it stands in the text, without its quotes.
    private static func text(of name: UnsafeRawBufferPointer) -> String {
        guard name.contains(UInt8(ascii: "\\")) else { return String(decoding: name, as: UTF8.self) }
        let quoted = [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
        return quoted.withUnsafeBytes { JSONScan($0).string } ?? ""
    }
}
