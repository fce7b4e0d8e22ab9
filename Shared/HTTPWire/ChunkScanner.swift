import Text

/// Walks the framing of a chunked body next to http_parser, which is built lenient. http_parser
/// takes any two bytes for the end of a chunk, and any text for an extension. The next reader might
/// see another message begin there (RFC 9112 §7.1).
struct ChunkScanner {
    private enum Place {
        case size
        case extensionName(isEmpty: Bool)
        case extensionValue
        case extensionToken
        case quotedText
        case quotedPair
        case quotedEnd
        case sizeLF
        case data(left: Int)
        case dataCR
        case dataLF
        case trailers
        case trailersLF
    }

    private var place = Place.size
    private var size = 0
    private var digits = 0
    private var dataBytes = 0
    private var framingBytes = 0

    private static let digitsMax = 16
    /// The bytes of sizes, extensions and line ends that a body may have beyond twice its data. A
    /// reader must bound them (RFC 9112 §7.1.1). Chunks of three bytes and more never reach it
    /// without extensions.
    private static let framingBytesMax = 16_384

    mutating func scan(_ input: UnsafeRawBufferPointer) throws(HTTPSyntaxError) {
        var offset = 0
        while offset < input.count {
            if case .data(let left) = place {
                let taken = min(left, input.count - offset)
                offset += taken
                dataBytes += taken
                place = taken == left ? .dataCR : .data(left: left - taken)
                continue
            }
            let byte = input[offset]
            offset += 1
            framingBytes += 1
            guard framingBytes <= Self.framingBytesMax + 2 * dataBytes else { throw Self.tooMuchFraming }
            switch place {
            case .size: try readSize(byte)
            case .extensionName, .extensionValue, .extensionToken, .quotedText, .quotedPair, .quotedEnd: try readExtension(byte)
            case .sizeLF:
                guard byte == 0x0A else { throw .malformed("the size of a chunk must end with CRLF") }
                place = size == 0 ? .trailers : .data(left: size)
                (size, digits) = (0, 0)
            case .data: break
            case .dataCR:
                guard byte == 0x0D else { throw .malformed("a chunk is longer than its size") }
                place = .dataLF
            case .dataLF:
                guard byte == 0x0A else { throw .malformed("a chunk is longer than its size") }
                place = .size
            case .trailers:
                guard byte == 0x0D else { throw .malformed("trailer fields are not accepted; send them in the head") }
                place = .trailersLF
            case .trailersLF:
                guard byte == 0x0A else { throw .malformed("a chunked body must end with CRLF") }
            }
        }
    }

    private static let tooMuchFraming = HTTPSyntaxError.malformed(
        "sizes and extensions of chunks must not be more than twice the data and 16384 bytes; send larger chunks")

    private mutating func readSize(_ byte: UInt8) throws(HTTPSyntaxError) {
        if let digit = Hex.digit(byte) {
            digits += 1
            guard digits <= Self.digitsMax, size < 1 << 56 else { throw .malformed("the size of a chunk has too many digits") }
            size = size << 4 | Int(digit)
        } else {
            try endOfPart(byte, digits > 0, "the size of a chunk must be hexadecimal digits without white space")
        }
    }

    /// Reads `;name`, `;name=token` and `;name="text"` (RFC 9112 §7.1.1), without the white space
    /// that the RFC calls bad.
    private mutating func readExtension(_ byte: UInt8) throws(HTTPSyntaxError) {
        switch place {
        case .extensionName(let isEmpty):
            if HTTPToken.contains(byte) {
                place = .extensionName(isEmpty: false)
            } else if byte == UInt8(ascii: "="), !isEmpty {
                place = .extensionValue
            } else {
                try endOfPart(byte, !isEmpty, "the name of a chunk extension must be a token")
            }
        case .extensionValue:
            if byte == UInt8(ascii: "\"") {
                place = .quotedText
            } else {
                guard HTTPToken.contains(byte) else { throw Self.badValue }
                place = .extensionToken
            }
        case .extensionToken:
            if !HTTPToken.contains(byte) { try endOfPart(byte, true, Self.valueRule) }
        case .quotedText:
            guard Self.isText(byte) else { throw Self.badValue }
            if byte == UInt8(ascii: "\"") { place = .quotedEnd }
            if byte == UInt8(ascii: "\\") { place = .quotedPair }
        case .quotedPair:
            guard Self.isText(byte) else { throw Self.badValue }
            place = .quotedText
        default:
            try endOfPart(byte, true, Self.valueRule)
        }
    }

    /// Goes on to the next extension at `;`, and to the data at CR.
    private mutating func endOfPart(_ byte: UInt8, _ isWhole: Bool, _ rule: HTTPSyntaxError.StaticReason) throws(HTTPSyntaxError) {
        switch byte {
        case UInt8(ascii: ";") where isWhole: place = .extensionName(isEmpty: true)
        case 0x0D where isWhole: place = .sizeLF
        default: throw .malformed(rule)
        }
    }

    private static let valueRule: HTTPSyntaxError.StaticReason = "the value of a chunk extension must be a token or a quoted string"
    private static let badValue = HTTPSyntaxError.malformed(valueRule)

    private static func isText(_ byte: UInt8) -> Bool { byte == 0x09 || byte >= 0x20 && byte != 0x7F }
}
