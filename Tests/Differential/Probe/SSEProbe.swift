import SSE

/// The parser of event streams: a stream, and the places where it is cut.
enum SSEProbe {
    static func answer(_ fields: inout CaseFields, into output: inout ProbeOutput) {
        let eventBytesMax = fields.number()
        let cuts = (0..<fields.number()).map { _ in fields.number() }
        let stream = fields.rest()
        write(SSEParser(), stream, cuts, into: &output)
        write(SSEParser(eventBytesMax: eventBytesMax), stream, cuts, into: &output)
    }

    private static func write(_ parser: SSEParser, _ stream: [UInt8], _ cuts: [Int], into output: inout ProbeOutput) {
        var parser = parser
        func note(_ event: SSEEvent) -> Bool {
            output.tag(event.data == nil ? "." : "d")
            output.block(event.name)
            output.block(event.data ?? event.name)
            output.block(event.raw)
            return true
        }
        var from = 0
        for cut in cuts + [stream.count] {
            // A copy of exactly these bytes: the parser keeps nothing of a read.
            Array(stream[from..<cut]).withUnsafeBytes { piece in
                check(parser.feed(piece, note) == piece.count, "bytes were left")
            }
            from = cut
        }
        parser.finish(note)
        output.tag(parser.isBroken ? "b" : "e")
    }
}
