import Glibc

/// Walks the raw bytes of a head line by line before the parser sees them: finds where the head ends, and refuses what
/// http_parser would take silently — lines that end in a bare LF, and folded lines (RFC 9112 §2.2, §5.2).
struct HeadScanner {
    private var started = false
    private var lineIsEmpty = true
    private var lastWasCR = false
    private(set) var isComplete = false
    /// Bytes of this head so far.
    private(set) var count = 0

    /// How many bytes at the front of `input` belong to the head; empty lines before it are among them (RFC 9112 §2.2).
    mutating func scan(_ input: UnsafeRawBufferPointer) throws(HTTPSyntaxError) -> Int {
        guard let base = input.baseAddress else { return 0 }
        var offset = 0
        if !started {
            while offset < input.count, input[offset] == 0x0D || input[offset] == 0x0A { offset += 1 }
            started = offset < input.count
        }
        while offset < input.count {
            // A space at the start of a line would continue the line before; on the first line it is no method either.
            if lineIsEmpty, !lastWasCR, input[offset] == 0x20 || input[offset] == 0x09 {
                throw .malformed("a line starts with white space")
            }
            guard let found = memchr(base + offset, 0x0A, input.count - offset) else {
                let rest = input.count - offset
                lineIsEmpty = lineIsEmpty && rest == 1 && input[offset] == 0x0D && !lastWasCR
                lastWasCR = input[input.count - 1] == 0x0D
                offset = input.count
                break
            }
            let end = UnsafeRawPointer(found) - base
            let endsWithCR = end > offset ? input[end - 1] == 0x0D : lastWasCR
            guard endsWithCR else { throw .malformed("a line ends without CR") }
            let isBlank = end > offset ? lineIsEmpty && end - offset == 1 && !lastWasCR : lineIsEmpty
            offset = end + 1
            (lineIsEmpty, lastWasCR) = (true, false)
            if isBlank {
                isComplete = true
                break
            }
        }
        count += offset
        return offset
    }
}
