import JSON

/// The texts of a request: a string, an array of strings, an array of tokens as numbers, or an array
/// of such arrays.
struct TextInputs: Hashable {
    private(set) var count: Int64 = 0
    /// The tokens that the client sent as numbers.
    private(set) var tokens: Int64 = 0
    /// The bytes of these numbers in the request.
    private var tokenBytes: Int64 = 0

    private static let rule = "must be a string, an array of strings, an array of tokens, or an array of arrays of tokens."

    /// - Parameters:
    ///   - name: the member of the texts.
    ///   - countMax: the most texts.
    init(_ name: String, of request: JSONObject, countMax: Int64) throws(RequestRefusal) {
        guard let member = request.raw(name), request.has(name) else { throw .json(.missing(name)) }
        guard member.withUnsafeBytes({ read(JSONScan($0)) }) else { throw .invalid(param: name, message: "\(name) \(Self.rule)") }
        guard (1...countMax).contains(count) else {
            throw .invalid(param: name, message: "\(name) must have 1 to \(countMax) texts, not \(count); send them in several calls.")
        }
    }

    /// - Returns: false for another kind of value.
    private mutating func read(_ value: JSONScan) -> Bool {
        switch value.bytes.first {
        case UInt8(ascii: "\""):
            count = 1
            return true
        case UInt8(ascii: "["): return read(elements: value)
        default: return false
        }
    }

    private mutating func read(elements value: JSONScan) -> Bool {
        var (texts, arrays, numbers, isKnown): (Int64, Int64, Int64, Bool) = (0, 0, 0, true)
        value.forEachElement { element in
            switch element.bytes.first {
            case UInt8(ascii: "\""): texts += 1
            case UInt8(ascii: "["):
                arrays += 1
                isKnown = readTokens(element)
            default:
                numbers += 1
                isKnown = element.integer != nil
            }
            return isKnown
        }
        guard isKnown, [texts, arrays, numbers].count(where: { $0 > 0 }) <= 1 else { return false }
        count = numbers > 0 ? 1 : texts + arrays
        if numbers > 0 { (tokens, tokenBytes) = (numbers, Int64(value.bytes.count)) }
        return true
    }

    private mutating func readTokens(_ array: JSONScan) -> Bool {
        var (count, isKnown): (Int64, Bool) = (0, true)
        array.forEachElement { element in
            count += 1
            isKnown = element.integer != nil
            return isKnown
        }
        tokens += count
        tokenBytes += Int64(array.bytes.count)
        return isKnown
    }

    /// Each text counts as a message, because providers add tokens to it.
    func prompt(of request: JSONObject) -> PromptSize {
        PromptSize(textBytes: Int64(request.decodedCount) - tokenBytes, messages: count, pictures: 0, tokens: tokens)
    }
}
