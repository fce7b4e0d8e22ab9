package import HTTPWire

/// Changes of a form that is passed on.
extension MultipartForm {
    /// A part is an index of ``parts``.
    package enum Edit: Hashable, Sendable {
        /// Replaces the content and keeps the headers.
        case replace(part: Int, with: [UInt8])
        case remove(part: Int)
        /// Adds a field without a file, after all parts.
        case add(name: String, value: [UInt8])
    }

    /// Returns a body with the edits, from pieces of the received body and new bytes, and its length.
    /// The boundary stays, so no content that the client sent can become a delimiter. The preamble is
    /// left out. The last edit of a part counts.
    /// - Throws: `.boundaryInValue` if a value has the delimiter. A client that draws its boundary
    ///   does not meet that.
    package func segments(_ edits: [Edit]) throws(MultipartError) -> (segments: [BodySegment], count: Int) {
        var changes: [Int: Edit] = [:]
        var added: [UInt8] = []
        for edit in edits {
            switch edit {
            case .remove(let part): changes[part] = edit
            case .replace(let part, let value):
                try check(value, name: parts[part].name)
                changes[part] = edit
            case .add(let name, let value):
                try check(value, name: name)
                added += dashBoundary + Array("\r\nContent-Disposition: form-data; name=\"\(Self.escaped(name))\"\r\n\r\n".utf8)
                added += value + Self.lineBreak
            }
        }
        var segments = Segments()
        for (index, part) in parts.enumerated() {
            switch changes[index] {
            case .remove: break
            case .replace(_, let value):
                segments.add(part.whole.lowerBound..<part.content.lowerBound)
                segments.add(value + Self.lineBreak)
            case .add, nil: segments.add(part.whole)
            }
        }
        segments.add(added + dashBoundary + Array("--\r\n".utf8))
        return (segments.list, segments.list.reduce(0) { $0 + $1.count })
    }

    /// A list in which neighbouring pieces are one.
    private struct Segments {
        var list: [BodySegment] = []

        mutating func add(_ range: Range<Int>) {
            if case .range(let last) = list.last, last.upperBound == range.lowerBound {
                list[list.count - 1] = .range(last.lowerBound..<range.upperBound)
            } else {
                list.append(.range(range))
            }
        }

        mutating func add(_ bytes: [UInt8]) {
            if case .bytes(let last) = list.last { list[list.count - 1] = .bytes(last + bytes) } else { list.append(.bytes(bytes)) }
        }
    }

    private static let lineBreak = [Grammar.cr, Grammar.lf]

    private var dashBoundary: [UInt8] { [Grammar.hyphen, Grammar.hyphen] + boundary }

    private func check(_ value: [UInt8], name: String) throws(MultipartError) {
        guard value.firstRange(of: dashBoundary) == nil else { throw .boundaryInValue(name: name) }
    }

    /// Escapes a name as browsers do.
    private static func escaped(_ name: String) -> String {
        let bytes = name.utf8.flatMap { byte in FieldParameters.Value.escapes.first { $0.byte == byte }?.text ?? [byte] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
