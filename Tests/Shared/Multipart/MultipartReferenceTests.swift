import Foundation
import Multipart
import TestSupport
import Testing
import Text

/// The reader of forms against python-multipart, over random bodies.
struct MultipartReferenceTests {
    /// The rules that refuse a body which the reference accepts, each with its reason.
    private static let stricter = [
        "boundaryInContent": "another reader could take the line for a delimiter",
        "noFirstDelimiter": "after a first CR or LF, the reference takes a delimiter that is not at the start of a line",
        "bytesAfterEnd": "the reference ignores them; another reader could look for parts there",
        "headerLine": "the reference takes control characters in a value, and names that begin like a delimiter",
        "repeatedHeader": "the reference leaves the choice to its caller",
        "dispositionParameters": "the reference takes one of several values, and decodes `name*` and `name*0`",
        "noFormDataDisposition": "the reference leaves the type to its caller",
        "noName": "the reference takes an empty name",
        "nameBackslash": "the reference drops the backslash or keeps it; readers differ",
        "notUTF8": "the reference leaves the charset to its caller",
        "transferEncoding": "the reference decodes no part, and another reader may",
        "boundary": "the reference takes every character in a boundary",
    ]

    private struct Part: Equatable, CustomStringConvertible {
        let name: String
        let filename: String?
        let contentType: String?
        let content: [UInt8]

        var description: String { "\(name), \(filename ?? "-"), \(contentType ?? "-"), \(content.count) bytes" }
    }

    @Test(.timeLimit(.minutes(5))) func `python-multipart reads the same parts, or a rule says why not`() async throws {
        var bodies = Bodies(random: SplitMix64(seed: drawSeed()))
        let forms = (0..<6_000).map { bodies.make(isMutated: $0 % 3 > 0) }
        let answers = try await Self.reference(forms)
        try #require(answers.count == forms.count)
        var (both, refusals) = (0, 0)
        for (form, answer) in zip(forms, answers) {
            let ours = form.body.withUnsafeBytes { body in
                Result { () throws(MultipartError) in try MultipartForm(contentType: form.type, body: body) }
            }
            let text = "\(form.type)\n\(String(decoding: form.body, as: UTF8.self).debugDescription)"
            switch (ours, answer) {
            case (.success(let read), let parts?):
                let mine = read.parts.map {
                    Part(name: $0.name, filename: $0.filename, contentType: $0.contentType, content: Array(form.body[$0.content]))
                }
                let isSame = mine == parts
                #expect(isSame, "\(mine) and \(parts): \(text)")
                both += 1
            case (.failure(let error), _?):
                let rule = String("\(error)".prefix { $0 != "(" })
                if Self.stricter[rule] == nil { Issue.record("only the reference accepts, \(error): \(text)") }
                refusals += 1
            case (.success, nil):
                let isAllowed = Self.isBeyondReference(form.body)
                #expect(isAllowed, "only we accept: \(text)")
            case (.failure, nil): refusals += 1
            }
            if !form.isMutated { #expect(throws: Never.self, "\(text)") { try ours.get() } }
        }
        #expect(both > 2_000 && refusals > 500, "\(both) forms accepted by both, \(refusals) refused")
    }

    /// True for a body that the reference refuses though RFC 2046 allows it: with a preamble.
    private static func isBeyondReference(_ body: [UInt8]) -> Bool { !body.starts(with: Array("--".utf8)) }

    /// Nil for a body that the reference refuses.
    private static func reference(_ forms: [Bodies.Form]) async throws -> [[Part]?] {
        let environment = try await PythonEnvironment.make("python-multipart", requirements: "python_multipart.txt")
        let input = FileManager.default.temporaryDirectory.appending(path: "forms-\(UUID())")
        defer { try? FileManager.default.removeItem(at: input) }
        try Data(forms.map { "\(Hex.text(Array($0.type.utf8))) \(Hex.text($0.body))\n" }.joined().utf8).write(to: input)
        let run = try await ChildProcess.run(
            environment + "/bin/python", [PythonEnvironment.path(of: "reference.py"), input.path(percentEncoded: false)])
        try #require(run.status == 0, "\(run.output.suffix(2_000))")
        return try run.output.split(separator: "\n").map { line in
            if line == "refused" { return nil }
            return try line.split(separator: " ").dropFirst().map { word in
                let values = word.split(separator: ",", omittingEmptySubsequences: false).map { Hex.bytes(String($0)) }
                try #require(values.count == 4)
                func text(_ index: Int) -> String? { values[index].map { String(decoding: $0, as: UTF8.self) } }
                return Part(
                    name: unescaped(text(0) ?? ""), filename: text(1).map(unescaped),
                    contentType: text(2)?.trimmingCharacters(in: .whitespaces),
                    content: values[3] ?? [])
            }
        }
    }

    /// Decodes what browsers escape, which the reference leaves to its caller.
    private static func unescaped(_ text: String) -> String {
        text.replacing("%22", with: "\"").replacing("%0D", with: "\r").replacing("%0A", with: "\n")
    }
}

/// Random forms: as clients write them, and damaged ones.
private struct Bodies {
    struct Form {
        let type: String
        let body: [UInt8]
        let isMutated: Bool
    }

    var random: SplitMix64

    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements.randomElement(using: &random)! }

    mutating func make(isMutated: Bool) -> Form {
        let boundary = pick(["b", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "0123456789abcdef0123456789abcdef", "a.b_c", "--", "X-"])
        var body = Array(pick(["", "", "", "\r\n"]).utf8)
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            body += Array("--\(boundary)\r\n".utf8) + headers() + Array("\r\n\r\n".utf8) + content(boundary) + Array("\r\n".utf8)
        }
        body += Array("--\(boundary)--\(pick(["\r\n", "\r\n", ""]))".utf8)
        if isMutated {
            for _ in 0..<Int.random(in: 1...3, using: &random) { mutate(&body, boundary) }
        }
        let type = "multipart/form-data; boundary=" + pick([boundary, "\"\(boundary)\""])
        return Form(type: type, body: body, isMutated: isMutated)
    }

    private mutating func headers() -> [UInt8] {
        var disposition = "form-data; name=" + pick(["\"file\"", "model", "\"image[]\"", "\"a%22b\"", "\"a\\\"b\"", "\"ü;=\"", "\"a b\""])
        if Bool.random(using: &random) {
            disposition += "; filename=" + pick(["\"a.wav\"", "a.wav", "\"ü %0A.png\"", "\"a\\\"b.mp3\"", "\"\""])
        }
        var lines = [pick(["Content-Disposition: ", "content-disposition:", "CONTENT-DISPOSITION:  "]) + disposition]
        if Bool.random(using: &random) {
            lines.append("Content-Type: " + pick(["audio/wav", "text/plain; charset=utf-8", "application/octet-stream"]))
        }
        if Int.random(in: 0..<8, using: &random) == 0 {
            lines.append(pick(["Content-Transfer-Encoding: binary", "X-Other: 1", "Content-Length: 5"]))
        }
        return Array(lines.shuffled(using: &random).joined(separator: "\r\n").utf8)
    }

    private mutating func content(_ boundary: String) -> [UInt8] {
        var content: [UInt8] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            switch Int.random(in: 0..<3, using: &random) {
            case 0: content += (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            case 1: content += Array(pick(["\r\n", "\r", "\n", "\r\n-", "\r\n\r\n", "x--", "name=\"model\""]).utf8)
            default: content += Array("x--\(boundary)".utf8)
            }
        }
        return content.suffix(1) == [0x0D] ? content + [0x78] : content
    }

    private mutating func mutate(_ body: inout [UInt8], _ boundary: String) {
        let place = Int.random(in: 0...body.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0 where place < body.count: body[place] = pick([0x0A, 0x0D, 0x22, 0x2D, 0x3A, 0x3B, 0x5C, 0x00, 0x20, 0xFF])
        case 1: body.removeSubrange(place..<min(body.count, place + Int.random(in: 1...12, using: &random)))
        case 2: body.removeSubrange(place...)
        case 3:
            let end = min(body.count, place + Int.random(in: 1...60, using: &random))
            body.insert(contentsOf: body[place..<end], at: Int.random(in: 0...body.count, using: &random))
        default:
            let texts = [
                "\r\n--\(boundary)", "\n--\(boundary)\r\n", "--\(boundary)--", "\r\n", "\n", "\"", "; name=\"model\"",
                "; name*=utf-8''model", "\\",
                "\r\nContent-Transfer-Encoding: base64", "\r\nContent-Disposition: form-data; name=\"model\"", " ", "--",
            ]
            body.insert(contentsOf: Array(pick(texts).utf8), at: place)
        }
    }
}
