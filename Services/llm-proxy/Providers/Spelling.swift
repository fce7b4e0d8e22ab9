/// The spelling of a name or a string, as it is written between its quotes, compared with a text of
/// small ASCII letters.
enum Spelling {
    case same, otherCase, different

    /// Makes no string and stops at the first difference: a body can have many thousand names.
    init(of written: UnsafeRawBufferPointer, as ours: StaticString) {
        var at = 0
        self = .same
        for index in 0..<ours.utf8CodeUnitCount {
            guard at < written.count else {
                self = .different
                return
            }
            let (letter, length) = Self.letter(written, at)
            if letter != UInt32(ours.utf8Start[index]) {
                guard Self.folded(letter) == UInt32(ours.utf8Start[index]) else {
                    self = .different
                    return
                }
                self = .otherCase
            }
            at += length
        }
        if at != written.count { self = .different }
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
}
