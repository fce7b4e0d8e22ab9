/// One strict pass over JSON text (RFC 8259): grammar, UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
/// U+10FFFF), escapes with paired surrogates, nesting bound. Keeps nothing but its place.
struct JSONReader {
    private let base: UnsafePointer<UInt8>
    let end: Int
    private(set) var at: Int
    private let valuesMax: Int
    private var values = 0
    /// The bytes by which the text read so far becomes shorter when its escapes are decoded to
    /// UTF-8.
    private(set) var escapeBytes = 0

    /// The buffer must not be empty, and outlives the reader.
    init(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int = 0, valuesMax: Int = .max) {
        base = bytes.baseAddress!
        end = bytes.count
        at = start
        self.valuesMax = valuesMax
    }

    @inline(__always)
    var peek: UInt8? { at < end ? base[at] : nil }

    @inline(__always)
    mutating func skipSpace() {
        while at < end, JSONBytes.isSpace(base[at]) { at += 1 }
    }

    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard at < end, base[at] == byte else { return false }
        at += 1
        return true
    }

    @inline(__always)
    mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard take(byte) else { throw .syntax(at: at) }
    }

    /// Reads one value that starts here; `depth` is the number of containers around it.
    mutating func value(depth: Int) throws(JSONError) -> JSONKind {
        guard at < end else { throw .syntax(at: at) }
        values += 1
        guard values <= valuesMax else { throw .tooManyValues(max: valuesMax) }
        switch base[at] {
        case 0x22:
            try string()
            return .string
        case 0x7B:
            try object(depth: depth) { (_, _, _, _) throws(JSONError) in }
            return .object
        case 0x5B:
            try array(depth: depth) { (_, _) throws(JSONError) in }
            return .array
        case 0x74:
            try literal("true")
            return .true
        case 0x66:
            try literal("false")
            return .false
        case 0x6E:
            try literal("null")
            return .null
        default:
            try number()
            return .number
        }
    }

    /// Reads an object; tells each member: where its key starts and ends (with quotes), its value's range and kind.
    @inline(__always)
    mutating func object(
        depth: Int, _ member: (_ keyStart: Int, _ keyEnd: Int, _ value: Range<Int>, _ kind: JSONKind) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard depth < JSONObject.depthMax else { throw .depth }
        try expect(0x7B)
        skipSpace()
        if take(0x7D) { return }
        while true {
            let keyStart = at
            try string()
            let keyEnd = at
            skipSpace()
            try expect(0x3A)
            skipSpace()
            let valueStart = at
            let kind = try value(depth: depth + 1)
            try member(keyStart, keyEnd, valueStart..<at, kind)
            skipSpace()
            if take(0x7D) { return }
            try expect(0x2C)
            skipSpace()
        }
    }

    /// Reads an array; tells each element's range and kind.
    @inline(__always)
    mutating func array(depth: Int, _ element: (_ value: Range<Int>, _ kind: JSONKind) throws(JSONError) -> Void) throws(JSONError) {
        guard depth < JSONObject.depthMax else { throw .depth }
        try expect(0x5B)
        skipSpace()
        if take(0x5D) { return }
        while true {
            let start = at
            let kind = try value(depth: depth + 1)
            try element(start..<at, kind)
            skipSpace()
            if take(0x5D) { return }
            try expect(0x2C)
            skipSpace()
        }
    }

    private mutating func literal(_ text: StaticString) throws(JSONError) {
        for offset in 0..<text.utf8CodeUnitCount where !take(text.utf8Start[offset]) { throw .syntax(at: at) }
    }

    private mutating func number() throws(JSONError) {
        _ = take(0x2D)
        if !take(0x30) { try digits() }
        if take(0x2E) { try digits() }
        if take(0x65) || take(0x45) {
            if !take(0x2B) { _ = take(0x2D) }
            try digits()
        }
    }

    private mutating func digits() throws(JSONError) {
        let start = at
        while at < end, JSONBytes.isDigit(base[at]) { at += 1 }
        guard at > start else { throw .syntax(at: at) }
    }

    private mutating func string() throws(JSONError) {
        try expect(0x22)
        while true {
            at = JSONBytes.skip(base, from: at, to: end, until: JSONBytes.specialOrNotASCII)
            guard at < end else { throw .syntax(at: at) }
            let byte = base[at]
            if byte == 0x22 {
                at += 1
                return
            } else if byte >= 0x80 {
                try scalars()
            } else if byte == 0x5C {
                try escapes()
            } else if byte < 0x20 {
                throw .syntax(at: at)
            } else {
                at += 1
            }
        }
    }

    /// A run of scalars beyond ASCII: text in Thai is nothing else.
    private mutating func scalars() throws(JSONError) {
        while at < end, base[at] >= 0x80 {
            let lead = base[at]
            switch lead {
            case 0xC2...0xDF:
                try continuation(1, from: 0x80, through: 0xBF)
                at += 2
            case 0xE0...0xEF:
                try continuation(1, from: lead == 0xE0 ? 0xA0 : 0x80, through: lead == 0xED ? 0x9F : 0xBF)
                try continuation(2, from: 0x80, through: 0xBF)
                at += 3
            case 0xF0...0xF4:
                try continuation(1, from: lead == 0xF0 ? 0x90 : 0x80, through: lead == 0xF4 ? 0x8F : 0xBF)
                try continuation(2, from: 0x80, through: 0xBF)
                try continuation(3, from: 0x80, through: 0xBF)
                at += 4
            default:
                throw .syntax(at: at)
            }
        }
    }

    @inline(__always)
    private func continuation(_ offset: Int, from low: UInt8, through high: UInt8) throws(JSONError) {
        guard at + offset < end, base[at + offset] >= low, base[at + offset] <= high else { throw .syntax(at: at) }
    }

    /// Reads a run of escapes: text of control characters or quotes is nothing else.
    private mutating func escapes() throws(JSONError) {
        while at < end, base[at] == 0x5C {
            guard at + 1 < end else { throw .syntax(at: at) }
            switch base[at + 1] {
            case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74:
                at += 2
                escapeBytes += 1
            case 0x75: try codePoint()
            default: throw .syntax(at: at)
            }
        }
    }

    @inline(__always)
    private mutating func codePoint() throws(JSONError) {
        let start = at
        at += 2
        let unit = try codeUnit(start)
        if unit & 0xFC00 == 0xD800 {
            guard take(0x5C), take(0x75), try codeUnit(start) & 0xFC00 == 0xDC00 else { throw .syntax(at: start) }
            escapeBytes += 12 - 4
        } else if unit & 0xFC00 == 0xDC00 {
            throw .syntax(at: start)
        } else {
            escapeBytes += 6 - (unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3)
        }
    }

    @inline(__always)
    private mutating func codeUnit(_ start: Int) throws(JSONError) -> UInt16 {
        guard at + 4 <= end, let unit = JSONBytes.codeUnit(base, at) else { throw .syntax(at: start) }
        at += 4
        return unit
    }
}

/// The kind of a value, by its first byte.
package enum JSONKind: Sendable {
    case string, number, object, array, `true`, `false`, null
}
