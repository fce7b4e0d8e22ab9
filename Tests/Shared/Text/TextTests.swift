import Testing

@testable import Text

struct TextTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"), (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_827_696_000_001, "2000-02-29T12:34:56.000001Z"), (1_767_225_599_000_000, "2025-12-31T23:59:59.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        ]) func `times are civil UTC`(_ microseconds: Int64, _ text: String)
    {
        #expect(Timestamp.text(microseconds) == text)
        #expect(Timestamp.read(text) == microseconds)
    }

    @Test func `a time outside the years 0 to 9999 is written as one of them`() {
        #expect(Timestamp.text(.max).hasPrefix("9999-"))
        #expect(Timestamp.text(.min).hasPrefix("0000-"))
    }

    @Test(arguments: [
        "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-1-01T00:00:00Z",
    ])
    func `text that is no time is refused`(text: String) { #expect(Timestamp.read(text) == nil) }

    @Test func `hexadecimal text is read in lower case only`() {
        let bytes = (0...255).map { UInt8($0) }
        #expect(Hex.bytes(Hex.text(bytes)) == bytes)
        #expect(Hex.text([0, 0x0A, 0xFF]) == "000aff")
        for broken in ["0", "0g", "AA", "a ", "aå"] { #expect(Hex.bytes(broken) == nil, "\(broken)") }
    }

    @Test func `a digit is read in either case`() {
        for (value, digit) in "0123456789abcdef".utf8.enumerated() { #expect(Hex.digit(digit) == UInt8(value)) }
        for (value, digit) in "ABCDEF".utf8.enumerated() {
            #expect(Hex.digit(digit) == UInt8(value + 10))
            #expect(Hex.lowerCaseDigit(digit) == nil)
        }
        for byte in "/:@G`g".utf8 { #expect(Hex.digit(byte) == nil) }
    }

    @Test(arguments: [("a%20b+c", "a b+c"), ("%41%C3%BC", "Aü"), ("", "")])
    func `percent escapes are decoded`(text: String, decoded: String) { #expect(PercentEncoding.decode(text.utf8) == decoded) }

    @Test(arguments: ["%", "%4", "%4g", "%00", "%C3", "a%+1"])
    func `a broken escape is refused`(text: String) { #expect(PercentEncoding.decode(text.utf8) == nil) }

    @Test func `a UUID is read as it was written, in either case`() throws {
        let text = "0190b5a0-0000-7000-8000-0000000000ff"
        let words = try #require(UUIDText.read(text))
        #expect(UUIDText.write(high: words.high, low: words.low) == text)
        let upper = try #require(UUIDText.read(text.uppercased()))
        #expect(upper == words)
        for broken in ["", String(text.dropLast()), text + "0", text.replacing("-", with: "0"), text.replacing("f", with: "g")] {
            #expect(UUIDText.read(broken) == nil, "\(broken)")
        }
    }

    @Test func `random numbers differ, also when many tasks draw them`() async {
        let drawn = await withTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var numbers = RandomNumbers()
                    return (0..<1_000).map { _ in numbers.next() }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(drawn).count == 8_000)
    }

    @Test func `ten thousand unique numbers differ`() {
        var numbers = UniqueNumbers()
        #expect(Set((0..<10_000).map { _ in numbers.next() }).count == 10_000)
    }
}
