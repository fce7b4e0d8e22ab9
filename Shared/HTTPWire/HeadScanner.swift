import Glibc

/// Walks the raw bytes of a head line by line before the parser sees them: finds where the head
/// ends, and refuses what http_parser would take silently: lines that end in a bare LF, and folded
/// lines (RFC 9112 §2.2, §5.2).
struct HeadScanner {
    private var started = false
    private var lineIsEmpty = true
    private var lastWasCR = false
    private var isFirstLine = true
    private var returnIsOpen = false
    private(set) var isComplete = false
    /// The bytes of the start line so far, with its CRLF at the end.
    private(set) var startLineCount = 0
    /// The last eight characters of the start line, the last one in the lowest byte: the version of
    /// a request.
    private(set) var startLineEnd: UInt64 = 0
    /// Bytes of this head so far.
    private(set) var count = 0

    /// Returns how many bytes at the front of `input` belong to the head. Empty lines before it are
    /// among them (RFC 9112 §2.2).
    mutating func scan(_ input: UnsafeRawBufferPointer) throws(HTTPSyntaxError) -> Int {
        guard let base = input.baseAddress else { return 0 }
        var offset = 0
        if !started {
            while offset < input.count, input[offset] == (lastWasCR ? 0x0A : 0x0D) {
                lastWasCR.toggle()
                offset += 1
            }
            started = offset < input.count
            guard !started || !lastWasCR else { throw .malformed("CR without LF before the request") }
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
                if isFirstLine { readStartLine(input[offset...]) }
                offset = input.count
                break
            }
            let end = UnsafeRawPointer(found) - base
            let endsWithCR = end > offset ? input[end - 1] == 0x0D : lastWasCR
            guard endsWithCR else { throw .malformed("a line ends without CR") }
            let isBlank = end > offset ? lineIsEmpty && end - offset == 1 && !lastWasCR : lineIsEmpty
            if isFirstLine { readStartLine(input[offset...end]) }
            isFirstLine = false
            offset = end + 1
            (lineIsEmpty, lastWasCR) = (true, false)
            if isBlank {
                isComplete = true
                break
            }
        }
        try checkBytes(UnsafeRawBufferPointer(rebasing: input[..<offset]))
        count += offset
        return offset
    }

    private mutating func readStartLine(_ piece: Slice<UnsafeRawBufferPointer>) {
        startLineCount += piece.count
        for byte in piece.suffix(10) where byte != 0x0D && byte != 0x0A { startLineEnd = startLineEnd << 8 | UInt64(byte) }
    }

    /// Refuses NUL, and a CR that no LF follows. http_parser takes NUL for a byte of a value (RFC
    /// 9110 §5.5), and CR and any byte for the end of the head, where the next reader sees a field
    /// (RFC 9112 §2.2).
    private mutating func checkBytes(_ head: UnsafeRawBufferPointer) throws(HTTPSyntaxError) {
        guard let base = head.baseAddress else { return }
        guard memchr(base, 0, head.count) == nil else { throw .malformed("a NUL in the head") }
        var offset = 0
        while offset < head.count {
            if returnIsOpen, head[offset] != 0x0A { throw .malformed("a CR that no LF follows") }
            returnIsOpen = false
            guard let found = memchr(base + offset, 0x0D, head.count - offset) else { return }
            offset = UnsafeRawPointer(found) - base + 1
            returnIsOpen = true
        }
    }
}
