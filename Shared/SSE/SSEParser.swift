/// An incremental parser of an event stream (WHATWG HTML §9.2.6), cut anywhere.
///
/// A line ends with LF, CR or CRLF; an empty line ends an event; a BOM may open the stream. An event
/// that lies whole in one read is not copied. Linear in the bytes, however they are cut.
package struct SSEParser: Sendable {
    /// The usual bound of an event in bytes.
    package static let eventBytesMax = 1 << 20

    /// The longest event in bytes. After a longer one the parser reads nothing more.
    private let eventBytesMax: Int

    /// True after an event of more than ``eventBytesMax`` bytes. It and all later bytes are dropped.
    package private(set) var isBroken = false

    /// The bytes of an event whose end has not come.
    private var partial: [UInt8] = []
    private var isAtStart = true
    private var isLineEmpty = true
    /// True if the last byte was a CR: the next byte may be the LF of the same line end.
    private var endsWithCR = false

    package init(eventBytesMax: Int = eventBytesMax) { self.eventBytesMax = eventBytesMax }

    /// True between two events.
    package var isBetweenEvents: Bool { partial.isEmpty }

    /// Reads on, and calls `body` with each whole event. `body` returns false to read no further.
    /// - Returns: the number of bytes of `bytes` that are read. The rest belongs to later events.
    @discardableResult
    package mutating func feed(_ bytes: UnsafeRawBufferPointer, _ body: (SSEEvent) -> Bool) -> Int {
        guard !isBroken else { return bytes.count }
        var at = 0
        var lines = LineEnds(bytes)
        while at < bytes.count {
            guard let end = eventEnd(in: bytes, from: at, &lines) else { return keep(bytes, from: at) }
            defer { at = end }
            let part = UnsafeRawBufferPointer(rebasing: bytes[at..<end])
            guard partial.count + part.count <= eventBytesMax else { return giveUp(bytes) }
            guard partial.isEmpty else {
                partial.append(contentsOf: part)
                guard emitPartial(body) else { return end }
                continue
            }
            guard emit(part, isWhole: true, body) else { return end }
        }
        return at
    }

    /// Ends the stream: bytes after the last empty line are an event too. Some servers leave the
    /// last line end out.
    package mutating func finish(_ body: (SSEEvent) -> Bool) {
        guard !isBroken, !partial.isEmpty else { return }
        (isLineEmpty, endsWithCR) = (true, false)
        _ = emitPartial(body)
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard partial.count + bytes.count - start <= eventBytesMax else { return giveUp(bytes) }
        partial.append(contentsOf: bytes[start...])
        return bytes.count
    }

    private mutating func giveUp(_ bytes: UnsafeRawBufferPointer) -> Int {
        isBroken = true
        partial = []
        return bytes.count
    }

    private mutating func emitPartial(_ body: (SSEEvent) -> Bool) -> Bool {
        let whole = partial
        partial.removeAll(keepingCapacity: true)
        return whole.withUnsafeBytes { emit($0, isWhole: false, body) }
    }

    private mutating func emit(_ raw: UnsafeRawBufferPointer, isWhole: Bool, _ body: (SSEEvent) -> Bool) -> Bool {
        let hasBOM = isAtStart && raw.starts(with: [0xEF, 0xBB, 0xBF])
        isAtStart = false
        return SSEEvent.withEvent(raw, skipping: hasBOM ? 3 : 0, isWhole: isWhole, body)
    }

    /// Returns the place behind the event that goes on at `start`, if its end is here.
    ///
    /// An event that ends with CR is whole when the next byte is here, because an LF belongs to it.
    private mutating func eventEnd(in bytes: UnsafeRawBufferPointer, from start: Int, _ lines: inout LineEnds) -> Int? {
        var at = start
        while true {
            if endsWithCR {
                guard at < bytes.count else { return nil }
                endsWithCR = false
                if bytes[at] == 0x0A { at += 1 }
                guard !isLineEmpty else { return at }
                isLineEmpty = true
            }
            guard let end = lines.next(from: at) else {
                if at < bytes.count { isLineEmpty = false }
                return nil
            }
            if end > at { isLineEmpty = false }
            at = end + 1
            if bytes[end] == 0x0D {
                endsWithCR = true
            } else {
                guard !isLineEmpty else { return at }
                isLineEmpty = true
            }
        }
    }
}
