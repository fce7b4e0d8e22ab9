import HTTPWire
import Multipart
import Testing

/// Forms that are passed on with changes.
struct FormEditsTests {
    private static let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: audio/wav"
    private static let received =
        "preamble\r\n"
        + MultipartFormTests.body(
            (file, "bytes\r\n"), (MultipartFormTests.named("model"), "ours"), (MultipartFormTests.named("stream"), "true"))

    private func edited(_ edits: [MultipartForm.Edit]) throws -> (text: String, segments: [BodySegment]) {
        let (segments, count) = try MultipartFormTests.form(Self.received).segments(edits)
        let bytes = Array(Self.received.utf8)
        let whole = segments.flatMap { segment in
            switch segment {
            case .range(let range): Array(bytes[range])
            case .bytes(let bytes): bytes
            }
        }
        #expect(whole.count == count)
        return (String(decoding: whole, as: UTF8.self), segments)
    }

    @Test func `a form without changes is one piece of the upload and the end delimiter, without the preamble`() throws {
        let (text, segments) = try edited([])
        #expect("preamble\r\n" + text == Self.received)
        #expect(segments.count == 2)
    }

    @Test func `content is replaced, parts are removed and added, and the rest keeps its bytes`() throws {
        let (text, segments) = try edited([
            .replace(part: 1, with: Array("theirs".utf8)), .remove(part: 2), .add(name: "a\"\r\nb", value: Array("v".utf8)),
            .add(name: "c", value: []),
        ])
        #expect(
            text
                == MultipartFormTests.body(
                    (Self.file, "bytes\r\n"), (MultipartFormTests.named("model"), "theirs"), (MultipartFormTests.named("a%22%0D%0Ab"), "v"),
                    (MultipartFormTests.named("c"), "")))
        #expect(try MultipartFormTests.form(text).parts.map(\.name) == ["file", "model", "a\"\r\nb", "c"])
        #expect(segments.count == 2, "the file and the headers of `model` are one piece")
    }

    @Test func `the last edit of a part counts`() throws {
        #expect(try edited([.remove(part: 1), .replace(part: 1, with: [0x78])]).text.contains("\r\n\r\nx\r\n"))
        #expect(try !edited([.replace(part: 1, with: [0x78]), .remove(part: 1)]).text.contains("model"))
    }

    @Test func `all parts can be removed`() throws {
        #expect(try edited([.remove(part: 0), .remove(part: 1), .remove(part: 2)]).text == "--b--\r\n")
    }

    @Test(arguments: ["--b", "x--b", "\r\n--b--"])
    func `a value with the delimiter is refused`(value: String) throws {
        let form = try MultipartFormTests.form(Self.received)
        #expect(throws: MultipartError.boundaryInValue(name: "model")) { try form.segments([.replace(part: 1, with: Array(value.utf8))]) }
        #expect(throws: MultipartError.boundaryInValue(name: "n")) { try form.segments([.add(name: "n", value: Array(value.utf8))]) }
    }
}
