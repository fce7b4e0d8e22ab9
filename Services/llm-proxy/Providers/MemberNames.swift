import JSON

/// Refuses members whose names differ only in letter case from names that the gateway reads or
/// writes.
///
/// A provider may match names without regard to letter case, and take the last of two values. It
/// would then answer another request than the gateway holds credits for.
enum MemberNames {
    private static let ofRequest: [StaticString] =
        PricedMembers.names + [
            "model", "messages", "stream", "stream_options", "n", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens",
        ]
    private static let ofStreamOptions: [StaticString] = ["include_usage"]
    private static let ofMessage: [StaticString] = ["content", "audio"]
    private static let ofPart: [StaticString] = ["type", "image_url"]

    /// Checks the members of the request and of `stream_options`. ``PromptSize`` checks messages
    /// and their parts, because it reads them anyway.
    static func check(_ request: JSONObject) throws(RequestFlaw) {
        try check(request, ofRequest, at: "")
        if let options = (try? request.optionalObject("stream_options")) ?? nil {
            try check(options, ofStreamOptions, at: "stream_options.")
        }
    }

    private static func check(_ object: JSONObject, _ ours: [StaticString], at place: String) throws(RequestFlaw) {
        for member in object.members {
            if let flaw = object.writtenName(of: member).withUnsafeBytes({ flaw(of: $0, ours, at: place) }) { throw flaw }
        }
    }

    static func flaw(ofMessageMember name: UnsafeRawBufferPointer, at place: @autoclosure () -> String) -> RequestFlaw? {
        flaw(of: name, ofMessage, at: place())
    }

    static func flaw(ofPartMember name: UnsafeRawBufferPointer, at place: @autoclosure () -> String) -> RequestFlaw? {
        flaw(of: name, ofPart, at: place())
    }

    private static func flaw(
        of name: UnsafeRawBufferPointer, _ ours: [StaticString], at place: @autoclosure () -> String
    ) -> RequestFlaw? {
        guard let our = ours.first(where: { spelling(name, of: $0) == .otherCase }) else { return nil }
        let param = place() + text(of: name)
        return RequestFlaw(param: param, message: "\(param) differs from \(our) only in letter case; write \(our).")
    }

    static func isNamed(_ expected: StaticString, _ written: UnsafeRawBufferPointer) -> Bool {
        spelling(written, of: expected) == .same
    }

    enum Spelling { case same, otherCase, different }

    /// Compares a name or a string, as it is written between its quotes, with a text of small ASCII
    /// letters. Makes no string and stops at the first difference: a body can have many thousand
    /// names.
    static func spelling(_ written: UnsafeRawBufferPointer, of ours: StaticString) -> Spelling {
        var at = 0
        var spelling = Spelling.same
        for index in 0..<ours.utf8CodeUnitCount {
            guard at < written.count else { return .different }
            let (letter, length) = Self.letter(written, at)
            if letter != UInt32(ours.utf8Start[index]) {
                guard folded(letter) == UInt32(ours.utf8Start[index]) else { return .different }
                spelling = .otherCase
            }
            at += length
        }
        return at == written.count ? spelling : .different
    }

    /// Returns the code point at `at`, if it is ASCII or folds to ASCII, and the bytes of its text.
    private static func letter(_ written: UnsafeRawBufferPointer, _ at: Int) -> (letter: UInt32, length: Int) {
        func byte(_ offset: Int) -> UInt8 { at + offset < written.count ? written[at + offset] : 0 }
        switch written[at] {
        case UInt8(ascii: "\\"):
            guard byte(1) == UInt8(ascii: "u"), at + 6 <= written.count else { return (0, 2) }
            return (UInt32(codeUnit(written, at + 2)), 6)
        case 0xC5: return byte(1) == 0xBF ? (longS, 2) : (0, 1)
        case 0xE2: return byte(1) == 0x84 && byte(2) == 0xAA ? (kelvinSign, 3) : (0, 1)
        case let other: return (UInt32(other), 1)
        }
    }

    /// The text has been checked: these are four hexadecimal digits.
    private static func codeUnit(_ text: UnsafeRawBufferPointer, _ start: Int) -> UInt16 {
        text[start..<start + 4].reduce(0) { unit, digit in
            unit << 4 | UInt16(digit <= UInt8(ascii: "9") ? digit &- UInt8(ascii: "0") : (digit | 0x20) &- UInt8(ascii: "a") &+ 10)
        }
    }

    // Unicode has two more letters that fold to ASCII.
    private static let longS: UInt32 = 0x17F
    private static let kelvinSign: UInt32 = 0x212A

    private static func folded(_ letter: UInt32) -> UInt32 {
        switch letter {
        case 0x41...0x5A: letter | 0x20
        case longS: 0x73
        case kelvinSign: 0x6B
        default: letter
        }
    }

    /// Decodes a name as it stands in the text, without its quotes.
    private static func text(of name: UnsafeRawBufferPointer) -> String {
        let quoted = [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
        return quoted.withUnsafeBytes { JSONScan($0).string } ?? ""
    }
}
