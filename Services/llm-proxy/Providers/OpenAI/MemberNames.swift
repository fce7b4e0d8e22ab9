import JSON

/// Refuses members whose names differ only in letter case from names that the gateway reads or
/// writes.
///
/// A provider may match names without regard to letter case, and take the last of two values. It
/// would then answer another request than the gateway holds credits for.
enum MemberNames {
    private static let ofMessage: [StaticString] = ["content", "audio"]
    private static let ofPart: [StaticString] = ["type", "image_url"]

    /// Checks the members of an object. ``PromptSize`` checks messages and their parts, because it
    /// reads them anyway.
    /// - Parameter place: the place of the object, with a dot at its end.
    static func check(_ object: JSONObject, _ ours: [StaticString], at place: String = "") throws(RequestFlaw) {
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

    static func flaw(
        of name: UnsafeRawBufferPointer, _ ours: [StaticString], at place: @autoclosure () -> String
    ) -> RequestFlaw? {
        guard name.contains(where: mayFold), let our = ours.first(where: { Spelling(of: name, as: $0) == .otherCase }) else {
            return nil
        }
        let param = place() + text(of: name)
        return RequestFlaw(param: param, message: "\(param) differs from \(our) only in letter case; write \(our).")
    }

    /// Returns true for a capital, an escape and a letter beyond ASCII. A name without them equals ours, or differs in more than
    /// letter case.
    private static func mayFold(_ byte: UInt8) -> Bool {
        (0x41...0x5A).contains(byte) || byte == UInt8(ascii: "\\") || byte >= 0x80
    }

    /// Decodes a name as it stands in the text, without its quotes.
    static func text(of name: UnsafeRawBufferPointer) -> String {
        let quoted = [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
        return quoted.withUnsafeBytes { JSONScan($0).string } ?? ""
    }
}
