import Glibc
import Text

/// One event of a stream, over its own bytes. Valid only during the call that it is given to, or, if
/// it ``isWhole``, as long as the bytes that were fed.
package struct SSEEvent {
    /// All bytes of the event, its empty line included. An event can have no field at all: a comment
    /// or a second empty line.
    package let raw: UnsafeRawBufferPointer
    /// The value of the last `event` field. Empty without that field.
    package let name: UnsafeRawBufferPointer
    /// The values of the `data` fields, joined by LF. Nil without such a field.
    package let data: UnsafeRawBufferPointer?
    /// True if the event came in one read, so that ``raw`` lies in the bytes of that read.
    package let isWhole: Bool

    /// Reads the fields of a whole event.
    static func withEvent(
        _ raw: UnsafeRawBufferPointer, skipping start: Int, isWhole: Bool, _ body: (SSEEvent) -> Bool
    ) -> Bool {
        var name = UnsafeRawBufferPointer(rebasing: raw[..<0])
        var data: UnsafeRawBufferPointer?
        // Events of several data lines are rare, so only those are copied.
        var joined: [UInt8] = []
        var dataLines = 0
        forEachLine(of: raw, from: start) { line in
            let (field, value) = split(line)
            switch field {
            case "data":
                dataLines += 1
                if let first = data, dataLines == 2 { joined.append(contentsOf: first) }
                if dataLines > 1 {
                    joined.append(0x0A)
                    joined.append(contentsOf: value)
                }
                data = value
            case "event": name = value
            default: break
            }
        }
        guard dataLines > 1 else { return body(SSEEvent(raw: raw, name: name, data: data, isWhole: isWhole)) }
        return joined.withUnsafeBytes { body(SSEEvent(raw: raw, name: name, data: $0, isWhole: isWhole)) }
    }

    private static func forEachLine(of raw: UnsafeRawBufferPointer, from start: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        var lines = LineEnds(raw)
        var at = start
        while at < raw.count {
            let end = lines.next(from: at) ?? raw.count
            if end > at { body(UnsafeRawBufferPointer(rebasing: raw[at..<end])) }
            at = end + 1
        }
    }

    /// Splits a line at its first colon. One space after the colon belongs to neither part.
    private static func split(
        _ line: UnsafeRawBufferPointer
    ) -> (field: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        guard let base = line.baseAddress, let found = memchr(base, 0x3A, line.count) else {
            return (line, UnsafeRawBufferPointer(rebasing: line[..<0]))
        }
        let colon = UnsafeRawPointer(found) - base
        let start = colon + 1 < line.count && line[colon + 1] == 0x20 ? colon + 2 : colon + 1
        return (UnsafeRawBufferPointer(rebasing: line[..<colon]), UnsafeRawBufferPointer(rebasing: line[start...]))
    }
}

extension SSEEvent {
    /// Encodes an event. Data of several lines, separated by LF, gets a field a line.
    /// - Parameter name: the value of the `event` field. Nil: the event has data only.
    package static func encode(_ data: [UInt8], name: StaticString? = nil) -> [UInt8] {
        var event: [UInt8] = []
        event.reserveCapacity(data.count + 8 + (name.map { $0.utf8CodeUnitCount + 8 } ?? 0))
        func append(_ text: StaticString) {
            event.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }
        if let name {
            append("event: ")
            append(name)
            append("\n")
        }
        append("data: ")
        for byte in data {
            event.append(byte)
            if byte == 0x0A { append("data: ") }
        }
        event.append(0x0A)
        event.append(0x0A)
        return event
    }
}
