import Glibc

/// The characters and the search that a form is made of.
enum Grammar {
    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")
    static let hyphen = UInt8(ascii: "-")

    /// The characters of a token (RFC 9110 §5.6.2).
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    /// The characters of a boundary, without the space (RFC 2046 §5.1.1).
    static func isBoundary(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x27...0x29, 0x2B...0x2F, 0x3A, 0x3D, 0x3F, 0x5F: true
        default: false
        }
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    static func matches(_ text: [UInt8], _ body: UnsafeRawBufferPointer, at index: Int) -> Bool {
        guard index + text.count <= body.count else { return false }
        return text.withUnsafeBytes { memcmp($0.baseAddress!, body.baseAddress! + index, $0.count) == 0 }
    }

    /// Returns the index of the first `text` after a CR or LF, in the bytes of `body` between the
    /// bounds. `text` begins with two hyphens and has no line break, so the comparisons of two line
    /// starts do not overlap, and the search is linear.
    static func lineStart(of text: [UInt8], in body: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int? {
        text.withUnsafeBytes { text in
            var index = start
            while index + text.count < end {
                // Eight places at a time, if the bytes for them are there: a line break and two hyphens.
                if index + 10 <= end {
                    let found = lineStarts(body, at: index)
                    index += found == 0 ? 8 : found.trailingZeroBitCount / 8
                    if found == 0 || index + text.count >= end { continue }
                }
                let isLineBreak = body[index] == lf || body[index] == cr
                if isLineBreak, memcmp(text.baseAddress!, body.baseAddress! + index + 1, text.count) == 0 { return index + 1 }
                index += 1
            }
            return nil
        }
    }

    /// Returns a bit in the byte of each place that has a line break and two hyphens, and perhaps of
    /// other places.
    private static func lineStarts(_ body: UnsafeRawBufferPointer, at index: Int) -> UInt64 {
        func word(_ offset: Int) -> UInt64 { UInt64(littleEndian: body.loadUnaligned(fromByteOffset: index + offset, as: UInt64.self)) }
        let lineBreaks = zeroBytes(word(0) ^ repeated(lf)) | zeroBytes(word(0) ^ repeated(cr))
        return lineBreaks & zeroBytes(word(1) ^ repeated(hyphen)) & zeroBytes(word(2) ^ repeated(hyphen))
    }

    private static func repeated(_ byte: UInt8) -> UInt64 { 0x0101_0101_0101_0101 &* UInt64(byte) }

    /// Returns a word with the highest bit of each byte that is zero, and at times of the byte above
    /// it. It is never zero if a byte is zero.
    private static func zeroBytes(_ word: UInt64) -> UInt64 { (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 }
}
