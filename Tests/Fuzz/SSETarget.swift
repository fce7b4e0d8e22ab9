import SSE

/// The parser of event streams: a stream gives the same events however it is cut, and its events are
/// all of its bytes.
enum SSETarget {
    static func run(_ bytes: UnsafeRawBufferPointer) {
        var random = InputRandom(bytes)
        let whole = events(of: bytes, cutAt: [])
        let cuts = (0..<4).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
        check(events(of: bytes, cutAt: cuts) == whole, "events differ when the stream is cut at \(cuts)")
        check(whole.flatMap(\.raw) == Array(bytes), "the events are not all of the bytes")
        for event in whole { check(event.data.map { $0.count <= event.raw.count } ?? true, "data longer than its event") }
    }

    private struct Event: Equatable {
        var name: [UInt8]
        var data: [UInt8]?
        var raw: [UInt8]
    }

    private static func events(of bytes: UnsafeRawBufferPointer, cutAt cuts: [Int]) -> [Event] {
        var parser = SSEParser()
        var events: [Event] = []
        func note(_ event: SSEEvent) -> Bool {
            events.append(Event(name: Array(event.name), data: event.data.map { Array($0) }, raw: Array(event.raw)))
            return true
        }
        var from = 0
        for cut in cuts + [bytes.count] {
            withCopy(of: bytes[from..<cut]) { piece in check(parser.feed(piece, note) == piece.count, "bytes were left") }
            from = cut
        }
        parser.finish(note)
        check(!parser.isBroken, "no input is as long as an event may be")
        return events
    }
}
