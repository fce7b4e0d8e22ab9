import HTTPWire
import Multipart

/// The reader of forms. The input is the field `content-type`, a line feed, and the body. The ranges
/// of the parts are inside the body and in order, and a form that is passed on has the same parts.
enum MultipartTarget {
    static func run(_ input: UnsafeRawBufferPointer) {
        let lineEnd = input.firstIndex(of: 0x0A) ?? input.count
        let type = String(decoding: input[..<lineEnd], as: UTF8.self)
        withCopy(of: input.dropFirst(lineEnd + 1)) { body in
            guard let form = read(type, body) else { return }
            checkRanges(form, body)
            let parts = form.parts.map { Part($0, body) }
            check(passedOn(form, [], body) == parts, "a form without changes has other parts")
            var random = InputRandom(input)
            let (edits, changed) = change(parts, &random)
            if let read = passedOn(form, edits, body) { check(read == changed, "\(edits) of \(parts) made \(read)") }
        }
    }

    private struct Part: Equatable {
        let name: String
        let filename: String?
        let contentType: String?
        var content: [UInt8]

        init(_ part: MultipartForm.Part, _ body: UnsafeRawBufferPointer) {
            (name, filename, contentType, content) = (part.name, part.filename, part.contentType, Array(body[part.content]))
        }

        init(name: String, content: [UInt8]) { (self.name, filename, contentType, self.content) = (name, nil, nil, content) }
    }

    private static func read(_ type: String, _ body: UnsafeRawBufferPointer) -> MultipartForm? {
        do throws(MultipartError) {
            return try MultipartForm(contentType: type, body: body)
        } catch {
            check(!error.message.isEmpty, "a refusal without a message")
            return nil
        }
    }

    private static func checkRanges(_ form: MultipartForm, _ body: UnsafeRawBufferPointer) {
        var end = 0
        check(form.parts.count <= 64, "\(form.parts.count) parts")
        for part in form.parts {
            check(end < part.headers.lowerBound && part.headers.upperBound + 2 == part.content.lowerBound, "\(part) after \(end)")
            check(part.content.upperBound < body.count && part.headers.count <= 8_192, "\(part) in \(body.count) bytes")
            check(!part.name.isEmpty && part.name.utf8.count <= 256, "name \(part.name)")
            end = part.content.upperBound
        }
    }

    /// Returns the parts of the form with its edits, read again with its own field. Nil if a value
    /// has the boundary.
    private static func passedOn(_ form: MultipartForm, _ edits: [MultipartForm.Edit], _ body: UnsafeRawBufferPointer) -> [Part]? {
        let segments: [BodySegment]
        let count: Int
        do throws(MultipartError) {
            (segments, count) = try form.segments(edits)
        } catch {
            guard case .boundaryInValue = error else { fatalError("\(error)") }
            return nil
        }
        let bytes = segments.flatMap { segment in
            switch segment {
            case .range(let range): Array(body[range])
            case .bytes(let bytes): bytes
            }
        }
        check(bytes.count == count, "\(bytes.count) bytes, \(count) announced")
        return withCopy(of: bytes) { copy in
            guard let again = read(form.contentType, copy) else { fatalError("a form that is passed on is refused") }
            return again.parts.map { Part($0, copy) }
        }
    }

    /// Random edits, and the parts that come of them.
    private static func change(_ parts: [Part], _ random: inout InputRandom) -> ([MultipartForm.Edit], [Part]) {
        var edits: [MultipartForm.Edit] = []
        var changed: [Part] = []
        for (index, part) in parts.enumerated() {
            var part = part
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                edits.append(.remove(part: index))
                continue
            case 1:
                part.content = Array("a--b\r\n".utf8.prefix(Int.random(in: 0...6, using: &random)))
                edits.append(.replace(part: index, with: part.content))
            default: break
            }
            changed.append(part)
        }
        if changed.count < 64, Bool.random(using: &random) {
            changed.append(Part(name: "a\"%\r\n", content: Array("gpt-4".utf8)))
            edits.append(.add(name: "a\"%\r\n", value: Array("gpt-4".utf8)))
        }
        return (edits, changed)
    }
}
