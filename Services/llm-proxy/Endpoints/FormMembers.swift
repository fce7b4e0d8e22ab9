import JSON

/// The texts of a form that the gateway reads, as the members of a JSON object.
enum FormMembers {
    /// - Parameters:
    ///   - ours: the names of the parts that the gateway reads. Another letter case of one is refused.
    ///   - files: the parts that are files.
    ///   - priced: the members that change the price. A part with the name of one is refused.
    static func read(
        _ form: CallForm, ours: [StaticString], files: [StaticString], priced: PricedMembers
    ) throws(RequestRefusal) -> JSONObject {
        let refused = priced.names.filter { name in !ours.contains { $0.description == name.description } }
        for name in form.names {
            for known in ours + files + refused where isOtherCase(name, of: known) {
                throw .invalid(param: name, message: "\(name) must be written \(known.description).")
            }
            if refused.contains(where: { $0.description == name }) {
                throw .invalid(param: name, message: "\(name) has no price here; remove it.")
            }
        }
        var texts: [(name: String, text: String)] = []
        for name in ours.map(\.description) {
            switch form.text(name) {
            case .absent: break
            case .text(let text): texts.append((name, text))
            case .unreadable:
                throw .invalid(param: name, message: "\(name) must be one text of at most \(CallForm.textBytesMax) bytes of UTF-8.")
            }
        }
        let json = JSONWriter.object { object in for (name, text) in texts { object.field(name, text) } }
        do throws(JSONError) { return try JSONObject(json) } catch { throw .json(error) }
    }

    private static func isOtherCase(_ name: String, of known: StaticString) -> Bool {
        Array(name.utf8).withUnsafeBytes { Spelling(of: $0, as: known) == .otherCase }
    }
}

extension JSONObject {
    /// Reads a text that is a whole number.
    func number(_ name: String, in range: ClosedRange<Int64>) throws(RequestRefusal) -> Int64? {
        guard let text = try? optionalString(name) else { return nil }
        guard let value = Int64(text), range.contains(value) else {
            throw .invalid(param: name, message: "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
        return value
    }
}
