/// The parts of a multipart/form-data body (RFC 7578, RFC 2046 §5.1), as ranges of its bytes.
///
/// A form that is passed on must mean the same to its next reader. So what two readers could read in
/// two ways is refused:
/// - Lines end with CR LF. A bare CR or LF in a header, or before a delimiter, is refused. In content
///   each byte is content.
/// - A delimiter line has no white space after it. A line of content that begins with `--` and the
///   boundary is refused, even if more characters follow.
/// - Nothing follows the end delimiter except one CR LF.
/// - Up to 1 KiB may stand before the first delimiter, as RFC 2046 allows, and is not passed on. The
///   first two hyphens must be those of the delimiter. A part after a damaged delimiter would be
///   lost otherwise.
/// - A header is on one line. The three headers that are read stand once in a part. `name*` is
///   refused, and with `filename*` a part is a file without a name (RFC 7578 §4.2).
///
/// A name may stand several times. The time is linear in the length of the body.
package struct MultipartForm: Sendable {
    package struct Part: Sendable {
        package let name: String
        package let filename: String?
        package let contentType: String?
        /// The header lines, each with its CR LF. The empty line after them is not included.
        package let headers: Range<Int>
        package let content: Range<Int>
        /// The delimiter line, the headers, the content and its CR LF. The ranges of all parts join.
        let whole: Range<Int>
    }

    package struct Limits: Sendable {
        package var partsMax = 64
        /// The limit of the headers of a part, with the empty line.
        package var headerBytesMax = 8 << 10
        package var nameBytesMax = 256
        package var preambleBytesMax = 1 << 10

        package init() {}
    }

    package let parts: [Part]
    let boundary: [UInt8]

    /// - Parameter contentType: the value of the field `content-type`.
    package init(
        contentType: String, body: UnsafeRawBufferPointer, limits: Limits = Limits()
    ) throws(MultipartError) {
        boundary = try BoundaryField.boundary(of: contentType)
        var reader = FormReader(body: body, boundary: boundary, limits: limits)
        parts = try reader.parts()
    }

    /// The field `content-type` of a form with the same boundary, for the next reader.
    package var contentType: String {
        let text = String(decoding: boundary, as: UTF8.self)
        return "multipart/form-data; boundary=" + (boundary.allSatisfy(Grammar.isToken) ? text : "\"\(text)\"")
    }
}

/// Walks through a body, from delimiter to delimiter.
private struct FormReader {
    let body: UnsafeRawBufferPointer
    let limits: MultipartForm.Limits
    /// Two hyphens and the boundary.
    let dashBoundary: [UInt8]

    init(body: UnsafeRawBufferPointer, boundary: [UInt8], limits: MultipartForm.Limits) {
        (self.body, self.limits) = (body, limits)
        dashBoundary = [Grammar.hyphen, Grammar.hyphen] + boundary
    }

    mutating func parts() throws(MultipartError) -> [MultipartForm.Part] {
        var parts: [MultipartForm.Part] = []
        var delimiter = try firstDelimiter()
        while true {
            let afterDelimiter = delimiter + dashBoundary.count
            if hasBytes(Grammar.hyphen, Grammar.hyphen, at: afterDelimiter) {
                let end = afterDelimiter + 2
                guard end == body.count || hasBytes(Grammar.cr, Grammar.lf, at: end) && end + 2 == body.count else {
                    throw .bytesAfterEnd
                }
                return parts
            }
            let number = parts.count + 1
            guard number <= limits.partsMax else { throw .tooManyParts(max: limits.partsMax) }
            let headers = try PartHeaders(body, from: afterDelimiter + 2, part: number, limits)
            let next = try nextDelimiter(from: headers.contentStart, part: number)
            parts.append(
                MultipartForm.Part(
                    name: headers.name, filename: headers.filename, contentType: headers.contentType, headers: headers.lines,
                    content: headers.contentStart..<(next - 2), whole: delimiter..<next))
            delimiter = next
        }
    }

    /// Returns the index of the first delimiter, whose line is complete.
    private func firstDelimiter() throws(MultipartError) -> Int {
        let last = min(body.count, limits.preambleBytesMax + 2)
        guard let first = (0...last).first(where: { hasBytes(Grammar.hyphen, Grammar.hyphen, at: $0) }) else {
            throw body.count > last + 2 ? .preambleTooLong(bytesMax: limits.preambleBytesMax) : .noFirstDelimiter
        }
        let isLine = first == 0 || hasBytes(Grammar.cr, Grammar.lf, at: first - 2)
        guard isLine, matches(at: first), isDelimiter(at: first) else { throw .noFirstDelimiter }
        return first
    }

    /// Returns the index of the delimiter that ends the content.
    private func nextDelimiter(from start: Int, part: Int) throws(MultipartError) -> Int {
        // The line break of the empty line before the content is no part of a delimiter.
        guard !matches(at: start) else { throw .boundaryInContent(part: part) }
        guard let found = Grammar.lineStart(of: dashBoundary, in: body, from: start, to: body.count) else { throw .noEndDelimiter }
        guard !endsWithin(found) else { throw .noEndDelimiter }
        guard found >= start + 2, hasBytes(Grammar.cr, Grammar.lf, at: found - 2), isDelimiter(at: found) else {
            throw .boundaryInContent(part: part)
        }
        return found
    }

    private func matches(at index: Int) -> Bool { Grammar.matches(dashBoundary, body, at: index) }

    /// True if the delimiter at `index` ends its line, or is the end delimiter.
    private func isDelimiter(at index: Int) -> Bool {
        let after = index + dashBoundary.count
        return hasBytes(Grammar.cr, Grammar.lf, at: after) || hasBytes(Grammar.hyphen, Grammar.hyphen, at: after)
    }

    /// True if the body ends before the two bytes that follow the delimiter at `index`.
    private func endsWithin(_ index: Int) -> Bool { body.count < index + dashBoundary.count + 2 }

    private func hasBytes(_ first: UInt8, _ second: UInt8, at index: Int) -> Bool {
        index >= 0 && index + 1 < body.count && body[index] == first && body[index + 1] == second
    }
}
