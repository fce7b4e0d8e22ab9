import TestSupport
import Testing

@testable import SSE

struct SSEParserTests {
    struct Event: Hashable, CustomStringConvertible {
        var name = ""
        var data: String?
        var raw: String
        var description: String { "\(name.isEmpty ? "message" : name): \(data ?? "nothing") from \(raw.debugDescription)" }
    }

    /// Feeds the text in the pieces that the cuts make, and ends the stream.
    static func events(_ text: [UInt8], cutAt cuts: [Int] = []) -> [Event] {
        var parser = SSEParser()
        var events: [Event] = []
        func note(_ event: SSEEvent) -> Bool {
            func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
            events.append(Event(name: text(event.name), data: event.data.map(text), raw: text(event.raw)))
            return true
        }
        var from = 0
        for cut in cuts + [text.count] where cut >= from {
            Array(text[from..<cut]).withUnsafeBytes { piece in #expect(parser.feed(piece, note) == piece.count) }
            from = cut
        }
        parser.finish(note)
        return events
    }

    static func events(_ text: String, cutAt cuts: [Int] = []) -> [Event] { events(Array(text.utf8), cutAt: cuts) }

    @Test(
        arguments: [
            ("data: a\n\n", [Event(data: "a", raw: "data: a\n\n")]),
            ("data:a\r\n\r\n", [Event(data: "a", raw: "data:a\r\n\r\n")]),
            ("data:  a\r\rdata:b\r\r", [Event(data: " a", raw: "data:  a\r\r"), Event(data: "b", raw: "data:b\r\r")]),
            ("event: e\ndata: 1\ndata: 2\ndata\n\n", [Event(name: "e", data: "1\n2\n", raw: "event: e\ndata: 1\ndata: 2\ndata\n\n")]),
            (": comment\n\n", [Event(raw: ": comment\n\n")]), ("\n\r\n\r", [Event(raw: "\n"), Event(raw: "\r\n"), Event(raw: "\r")]),
            ("\u{FEFF}data: a\n\n", [Event(data: "a", raw: "\u{FEFF}data: a\n\n")]),
            ("data: a\n\n\u{FEFF}data: b\n\n", [Event(data: "a", raw: "data: a\n\n"), Event(raw: "\u{FEFF}data: b\n\n")]),
            ("id: 1\nretry: 2\ndata: x", [Event(data: "x", raw: "id: 1\nretry: 2\ndata: x")]),
            ("data: x\n: note\n\ndata\n\n", [Event(data: "x", raw: "data: x\n: note\n\n"), Event(data: "", raw: "data\n\n")]),
            ("event: a\nevent: b\n\n", [Event(name: "b", raw: "event: a\nevent: b\n\n")]), ("", []),
        ] as [(String, [Event])])
    func `events are read, wherever the stream is cut`(text: String, expected: [Event]) {
        #expect(Self.events(text) == expected)
        let count = text.utf8.count
        for first in 0...count {
            for second in first...count { #expect(Self.events(text, cutAt: [first, second]) == expected, "cut at \(first), \(second)") }
        }
        #expect(Self.events(text, cutAt: Array(0...count)) == expected)
    }

    @Test func `random streams give the same events, cut or whole, and no byte is lost`() {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        let pieces = ["\n", "\r", "\r\n", "data: x", "data:", "event: e", ": c", "\u{FEFF}", "data", "y", " "]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 0...12, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            let whole = Self.events(text)
            let cuts = (0..<3).map { _ in Int.random(in: 0...text.utf8.count, using: &random) }.sorted()
            #expect(Self.events(text, cutAt: cuts) == whole, "\(text.debugDescription) cut at \(cuts), seed \(seed)")
            #expect(whole.map(\.raw).joined() == text, "seed \(seed)")
        }
    }

    @Test func `an event that came in one read is not copied`() {
        var parser = SSEParser()
        let text = Array("data: a\n\ndata: b\n\n".utf8)
        text.withUnsafeBytes { bytes in
            var places: [Int] = []
            parser.feed(bytes) { event in
                #expect(event.isWhole)
                places.append(event.raw.baseAddress.map { $0 - (bytes.baseAddress ?? $0) } ?? -1)
                return true
            }
            #expect(places == [0, 9])
        }
    }

    @Test func `a reader that stops gets the later events when it feeds the rest`() {
        var parser = SSEParser()
        let text = Array("data: a\n\ndata: b\n\ndata: c".utf8)
        var read: [String] = []
        func note(_ event: SSEEvent) -> Bool {
            read.append(event.data.map { String(decoding: $0, as: UTF8.self) } ?? "")
            return read.count != 1
        }
        let used = text.withUnsafeBytes { parser.feed($0, note) }
        #expect((used, read) == (9, ["a"]))
        #expect(parser.isBetweenEvents)
        _ = Array(text[used...]).withUnsafeBytes { parser.feed($0, note) }
        parser.finish(note)
        #expect(read == ["a", "b", "c"])
    }

    @Test(arguments: [1, 1_000, 1 << 20])
    func `an event beyond its bound breaks the stream, in pieces of any size`(piece: Int) {
        var parser = SSEParser()
        var count = 0
        let text = Array("data: a\n\n".utf8) + [UInt8](repeating: 0x78, count: SSEParser.eventBytesMax + 1) + Array("\n\ndata: b\n\n".utf8)
        for start in stride(from: 0, to: text.count, by: piece) {
            Array(text[start..<min(start + piece, text.count)]).withUnsafeBytes { bytes in
                _ = parser.feed(bytes) { _ in
                    count += 1
                    return true
                }
            }
        }
        #expect(parser.isBroken)
        #expect(count == 1)
    }

    @Test(arguments: ["", "{}", "a\nb", "\n", "a\n\nb"])
    func `data that is encoded is read again as it was`(data: String) {
        let event = String(decoding: SSEEvent.encode(Array(data.utf8)), as: UTF8.self)
        #expect(Self.events(event) == [Event(data: data, raw: event)])
    }
}
