/// The headers of one part.
struct PartHeaders {
    /// The header lines, without the empty line.
    let lines: Range<Int>
    let contentStart: Int
    let name: String
    let filename: String?
    let contentType: String?

    /// - Parameter start: the index after the CR LF of the delimiter line.
    init(
        _ body: UnsafeRawBufferPointer, from start: Int, part: Int, _ limits: MultipartForm.Limits
    ) throws(MultipartError) {
        var known = Known()
        var lineStart = start
        while true {
            let lineEnd = try Self.lineEnd(body, from: lineStart, start: start, part: part, limits)
            if lineEnd == lineStart { break }
            try known.read(UnsafeRawBufferPointer(rebasing: body[lineStart..<lineEnd]), part: part)
            lineStart = lineEnd + 2
        }
        lines = start..<lineStart
        contentStart = lineStart + 2
        (name, filename) = try Self.disposition(known.disposition, part: part, limits)
        contentType = known.type.map { String(decoding: $0, as: UTF8.self) }
        if let encoding = known.encoding.map({ String(decoding: $0, as: UTF8.self).lowercased() }) {
            guard ["binary", "8bit", "7bit"].contains(encoding) else { throw .transferEncoding(part: part) }
        }
    }

    /// Returns the index of the CR LF that ends a line.
    private static func lineEnd(
        _ body: UnsafeRawBufferPointer, from lineStart: Int, start: Int, part: Int, _ limits: MultipartForm.Limits
    ) throws(MultipartError) -> Int {
        let end = min(body.count, start + limits.headerBytesMax)
        var index = lineStart
        while index + 1 < end {
            switch body[index] {
            case Grammar.cr where body[index + 1] == Grammar.lf: return index
            case 0x00...0x08, 0x0A...0x1F, 0x7F: throw .headerLine(part: part)
            default: index += 1
            }
        }
        throw end == body.count ? .noEndDelimiter : .headersTooLong(part: part, bytesMax: limits.headerBytesMax)
    }

    /// The values of the headers that are read.
    private struct Known {
        var disposition: [UInt8]?
        var type: [UInt8]?
        var encoding: [UInt8]?

        mutating func read(_ line: UnsafeRawBufferPointer, part: Int) throws(MultipartError) {
            // A line that begins with a hyphen may be a delimiter whose boundary has a colon.
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0, line[0] != Grammar.hyphen,
                line[..<colon].allSatisfy(Grammar.isToken)
            else { throw .headerLine(part: part) }
            let value = line[(colon + 1)...].drop(while: Grammar.isSpace).reversed().drop(while: Grammar.isSpace).reversed()
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            switch name {
            case "content-disposition": try Self.set(&disposition, value, name, part)
            case "content-type": try Self.set(&type, value, name, part)
            case "content-transfer-encoding": try Self.set(&encoding, value, name, part)
            default: break
            }
        }

        private static func set(
            _ header: inout [UInt8]?, _ value: some Sequence<UInt8>, _ name: String, _ part: Int
        ) throws(MultipartError) {
            guard header == nil else { throw .repeatedHeader(part: part, name) }
            header = Array(value)
        }
    }

    private static func disposition(
        _ value: [UInt8]?, part: Int, _ limits: MultipartForm.Limits
    ) throws(MultipartError) -> (name: String, filename: String?) {
        guard let value else { throw .noFormDataDisposition(part: part) }
        guard let field = FieldParameters(value, isUnquoted: Grammar.isToken) else { throw .dispositionParameters(part: part) }
        guard field.type == "form-data" else { throw .noFormDataDisposition(part: part) }
        guard !field.hasExtended("name") else { throw .dispositionParameters(part: part) }
        let name: String
        switch field.find("name") {
        case .several: throw .dispositionParameters(part: part)
        case .none: throw .noName(part: part)
        case .one(let found):
            guard !found.hasLoneBackslash else { throw .nameBackslash(part: part) }
            guard let text = found.text else { throw .notUTF8(part: part) }
            guard !text.isEmpty else { throw .noName(part: part) }
            guard text.utf8.count <= limits.nameBytesMax else { throw .nameTooLong(part: part, bytesMax: limits.nameBytesMax) }
            name = text
        }
        switch field.find("filename") {
        case .several: throw .dispositionParameters(part: part)
        // Some readers take the extended form for the name of a file.
        case .none: return (name, field.hasExtended("filename") ? "" : nil)
        case .one(let found):
            guard let text = found.text else { throw .notUTF8(part: part) }
            return (name, text)
        }
    }
}
