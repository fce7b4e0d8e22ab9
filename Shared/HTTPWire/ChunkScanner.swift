/// Walks the framing of a chunked body beside http_parser, which is built lenient: it takes any two bytes for the end of a chunk
/// and a bare LF inside an extension, where the next reader might see another message begin (RFC 9112 §7.1).
struct ChunkScanner {
    private enum Place {
        case size
        case sizeEnd
        case data(left: Int)
        case dataCR
        case dataLF
        case trailers
    }

    private var place = Place.size
    private var size = 0
    private var inExtension = false

    mutating func scan(_ input: UnsafeRawBufferPointer) throws(HTTPSyntaxError) {
        var offset = 0
        while offset < input.count {
            let byte = input[offset]
            offset += 1
            switch place {
            case .size: try sizeLine(byte)
            case .sizeEnd:
                guard byte == 0x0A else { throw .malformed("a chunk's size ends without CRLF") }
                place = size == 0 ? .trailers : .data(left: size)
                (size, inExtension) = (0, false)
            case .data(let left):
                let taken = min(left, input.count - offset + 1)
                offset += taken - 1
                place = taken == left ? .dataCR : .data(left: left - taken)
            case .dataCR:
                guard byte == 0x0D else { throw .malformed("a chunk is longer than its size") }
                place = .dataLF
            case .dataLF:
                guard byte == 0x0A else { throw .malformed("a chunk is longer than its size") }
                place = .size
            case .trailers:
                // What ends the body; http_parser tells, and trailer fields are refused by their names.
                guard byte == 0x0D || byte == 0x0A else { throw .malformed("trailer fields are not accepted") }
            }
        }
    }

    private mutating func sizeLine(_ byte: UInt8) throws(HTTPSyntaxError) {
        if byte == 0x0D {
            place = .sizeEnd
        } else if inExtension {
            guard byte >= 0x20 || byte == 0x09, byte != 0x7F else { throw .malformed("a byte that no chunk extension may hold") }
        } else if let digit = Self.hexDigit(byte) {
            guard size < 1 << 56 else { throw .malformed("chunk size is no number") }
            size = size << 4 | digit
        } else {
            // http_parser has seen to it that only `;` or a space follows the digits.
            inExtension = true
        }
    }

    private static func hexDigit(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x41...0x46: Int(byte) - 0x37
        case 0x61...0x66: Int(byte) - 0x57
        default: nil
        }
    }
}
