import HTTPWire
import Multipart
import Testing

/// The reader of forms: what it accepts, and each rule that it refuses by.
struct MultipartFormTests {
    static let type = "multipart/form-data; boundary=b"

    static func form(_ body: String, type: String = type, limits: MultipartForm.Limits = MultipartForm.Limits()) throws -> MultipartForm {
        try Array(body.utf8).withUnsafeBytes { try MultipartForm(contentType: type, body: $0, limits: limits) }
    }

    /// A body with the boundary `b` and a part for each pair of headers and content.
    static func body(_ parts: (headers: String, content: String)...) -> String {
        parts.map { "--b\r\n\($0.headers)\r\n\r\n\($0.content)\r\n" }.joined() + "--b--\r\n"
    }

    static func named(_ name: String) -> String { "Content-Disposition: form-data; name=\"\(name)\"" }

    private func refusal(_ body: String, type: String = type, limits: MultipartForm.Limits = MultipartForm.Limits()) -> MultipartError? {
        do { _ = try Self.form(body, type: type, limits: limits) } catch { return error as? MultipartError }
        return nil
    }

    /// The refusal of a body with one part.
    private func refusal(ofHeaders headers: String) -> MultipartError? { refusal(Self.body((headers, "x"))) }

    private static func text(_ range: Range<Int>, of body: String) -> String { String(decoding: Array(body.utf8)[range], as: UTF8.self) }

    // MARK: Parts

    @Test func `a part has its name, file name and type, and the ranges of its headers and content`() throws {
        let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a b.wav\"\r\nContent-Type: audio/wav"
        let body = Self.body((file, "\u{0}\r\n--c\r\n\r\n--"), (Self.named("model"), "m"), (Self.named("model"), ""))
        let form = try Self.form(body)
        #expect(form.parts.map(\.name) == ["file", "model", "model"])
        #expect(form.parts.map(\.filename) == ["a b.wav", nil, nil])
        #expect(form.parts.map(\.contentType) == ["audio/wav", nil, nil])
        #expect(form.parts.map { Self.text($0.content, of: body) } == ["\u{0}\r\n--c\r\n\r\n--", "m", ""])
        #expect(Self.text(form.parts[0].headers, of: body) == file + "\r\n")
    }

    @Test(arguments: ["--b--\r\n", "--b--"])
    func `a form without parts is accepted`(body: String) throws {
        #expect(try Self.form(body).parts.isEmpty)
    }

    @Test(arguments: ["", "a preamble", "\r\n"])
    func `a short preamble is accepted`(preamble: String) throws {
        #expect(try Self.form(preamble + "\r\n" + Self.body((Self.named("a"), "x"))).parts.map(\.name) == ["a"])
    }

    @Test(arguments: [
        (#"name="a%22b""#, #"a"b"#), (#"name="a\"b""#, #"a"b"#), (#"name="a\\b""#, #"a\b"#), (#"name="a%0D%0Ab""#, "a\r\nb"),
        (#"name="a%20b""#, "a%20b"), ("name=token", "token"), ("NAME=\"ü\"", "ü"), ("name=\"a;b=c\"", "a;b=c"),
        ("filename*=utf-8''x; name=\"a\"", "a"), ("x=y; name=\"image[]\"", "image[]"),
    ])
    func `a name is read as clients write it`(parameter: String, name: String) throws {
        #expect(try Self.form(Self.body(("content-disposition:  FORM-DATA ; \(parameter)", "x"))).parts.map(\.name) == [name])
    }

    @Test(arguments: [(#"C:\dir\a.wav"#, #"C:\dir\a.wav"#), (#"a\"b.wav"#, #"a"b.wav"#), ("a%22b.wav", #"a"b.wav"#), ("", "")])
    func `a file name is read as clients write it`(written: String, name: String) throws {
        #expect(try Self.form(Self.body((Self.named("file") + "; filename=\"\(written)\"", "x"))).parts[0].filename == name)
    }

    @Test func `a part with an extended file name is a file`() throws {
        #expect(try Self.form(Self.body((Self.named("quality") + "; filename*=UTF-8''x", "low"))).parts[0].filename == "")
    }

    @Test(arguments: ["binary", "8BIT", "7bit"])
    func `a transfer encoding that changes no byte is accepted`(encoding: String) throws {
        #expect(refusal(ofHeaders: Self.named("a") + "\r\nContent-Transfer-Encoding: \(encoding)") == nil)
    }

    @Test(arguments: ["\nx", "\n-", "x\n--c", "\r--c", "--b", "x--b\r\n", "\r\n-", "\r\n", "\n\n\n\n\n\n\n\n\n\n-\n-\n-"])
    func `content that only looks like a line of the form is content`(content: String) throws {
        let body = Self.body((Self.named("a"), "x" + content))
        #expect(Self.text(try Self.form(body).parts[0].content, of: body) == "x" + content)
    }

    @Test func `a delimiter is found at every place of a word`() throws {
        for count in 0..<64 {
            let content = String(repeating: "\n", count: count / 8) + String(repeating: "y", count: count)
            let body = Self.body((Self.named("a"), content), (Self.named("b"), content))
            #expect(try Self.form(body).parts.map { Self.text($0.content, of: body) } == [content, content])
        }
    }

    // MARK: The field

    @Test(arguments: [
        ("multipart/form-data; boundary=b", "multipart/form-data; boundary=b"),
        ("Multipart/Form-Data;boundary=\"b\"", "multipart/form-data; boundary=b"),
        ("multipart/form-data; charset=utf-8; BOUNDARY=b", "multipart/form-data; boundary=b"),
    ])
    func `a form is passed on with the plain form of its field`(type: String, passedOn: String) throws {
        #expect(try Self.form("--b--", type: type).contentType == passedOn)
    }

    @Test func `a boundary with all characters of RFC 2046 is quoted`() throws {
        let boundary = "0aZ'()+_,-./:=? x"
        let form = try Self.form(
            "--\(boundary)\r\n\(Self.named("a"))\r\n\r\nx\r\n--\(boundary)--", type: "multipart/form-data; boundary=\"\(boundary)\"")
        #expect(form.contentType == "multipart/form-data; boundary=\"\(boundary)\"")
        #expect(form.parts.count == 1)
    }

    @Test(arguments: ["", "application/json", "multipart/mixed; boundary=b", "text/plain; x", "multipart/form-datax; boundary=b"])
    func `another type is refused`(type: String) { #expect(refusal("--b--", type: type) == .notFormData) }

    @Test(arguments: [
        "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=b; boundary=b",
        "multipart/form-data; boundary=\"b ", "multipart/form-data; boundary=\"b \"", "multipart/form-data; boundary=b@",
        "multipart/form-data; boundary=\"b@\"",
        "multipart/form-data; boundary=b; boundary*=c", "multipart/form-data; boundary=b;", "multipart/form-data boundary=b",
        "multipart/form-data; boundary=ü",
        "multipart/form-data; boundary=" + String(repeating: "b", count: 71),
    ])
    func `a boundary that is missing, repeated or of other characters is refused`(type: String) {
        #expect(refusal("--b--", type: type) == .boundary)
    }

    // MARK: The body

    @Test(arguments: [
        "", "b", "--b", "--b\r", "--c\r\n--b\r\n", "x\r\n--c\r\n--b--", "x\n--b--", "x--b\r\n\r\n--b--", "--b-", "--bx\r\n", "--b \r\n",
        "x--b\r\n", "\n--b\r\n", "\r--b\r\n", "--b\n", "preamble",
    ])
    func `a body without a first delimiter line is refused`(body: String) {
        #expect(refusal(body) == .noFirstDelimiter)
    }

    @Test func `every beginning of a body that is not the whole is refused`() throws {
        let body = Self.body((Self.named("a"), "x"), (Self.named("b"), "y"))
        for count in 0..<(body.utf8.count - 2) {
            let error = refusal(String(decoding: body.utf8.prefix(count), as: UTF8.self))
            #expect([.noFirstDelimiter, .noEndDelimiter].contains(error), "\(count): \(String(describing: error))")
        }
    }

    @Test func `a preamble of more than 1 KiB is refused`() throws {
        let rest = "\r\n" + Self.body((Self.named("a"), "x"))
        #expect(refusal(String(repeating: "p", count: 1_024) + rest) == nil)
        #expect(refusal(String(repeating: "p", count: 1_025) + rest) == .preambleTooLong(bytesMax: 1_024))
    }

    @Test(arguments: ["x", "\r\nx", "\r\n\r\n", "\n", " \r\n"])
    func `bytes after the end delimiter are refused`(epilogue: String) {
        #expect(refusal("--b\r\n\(Self.named("a"))\r\n\r\nx\r\n--b--\(epilogue)") == .bytesAfterEnd)
    }

    /// Another reader could take each of these for the next part.
    @Test(arguments: ["\r\n--bx", "\r\n--b ", "\n--b\r\n", "\r--b\r\n", "\r\n--b\n", "\r\n--b-", "\n--b--"])
    func `a line of content that begins like a delimiter is refused`(line: String) {
        #expect(refusal(Self.body((Self.named("a"), "x\(line)x"))) == .boundaryInContent(part: 1))
        #expect(refusal(Self.body((Self.named("a"), ""), (Self.named("a"), "\(line)x"))) == .boundaryInContent(part: 2))
    }

    @Test(arguments: ["--b", "--bx", "--b--"])
    func `content that begins like a delimiter is refused`(content: String) {
        #expect(refusal(Self.body((Self.named("a"), content))) == .boundaryInContent(part: 1))
    }

    @Test func `a part beyond the limit is refused`() {
        func body(_ count: Int) -> String { String(repeating: "--b\r\n\(Self.named("a"))\r\n\r\nx\r\n", count: count) + "--b--" }
        #expect(refusal(body(64)) == nil)
        #expect(refusal(body(65)) == .tooManyParts(max: 64))
        var limits = MultipartForm.Limits()
        limits.partsMax = 2
        #expect(refusal(body(3), limits: limits) == .tooManyParts(max: 2))
    }

    // MARK: The headers

    @Test func `headers of more than 8 KiB are refused`() {
        func headers(_ count: Int) -> String {
            Self.named("a") + "\r\nx: " + String(repeating: "x", count: count - Self.named("a").count - 9)
        }
        #expect(refusal(ofHeaders: headers(8_192)) == nil)
        #expect(refusal(ofHeaders: headers(8_193)) == .headersTooLong(part: 1, bytesMax: 8_192))
    }

    @Test(arguments: [
        "x", "x y: z", ": z", " x: z", "x: y\r\n z", "x: y\nz: a", "x: y\rz: a", "x: \u{0}", "x: \u{7F}", "--b", "--a:b", "x : z",
    ])
    func `a header that is not one line of name and value is refused`(line: String) {
        #expect(refusal(ofHeaders: Self.named("a") + "\r\n" + line) == .headerLine(part: 1))
    }

    @Test(arguments: ["Content-Disposition: form-data; name=\"b\"", "content-type: a/b", "Content-Transfer-Encoding: binary"])
    func `a header that is read stands once`(line: String) {
        let name = line.prefix { $0 != ":" }.lowercased()
        #expect(
            refusal(ofHeaders: "\(Self.named("a"))\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: 8bit\r\n\(line)")
                == .repeatedHeader(part: 1, name))
        #expect(refusal(ofHeaders: "\(Self.named("a"))\r\nX: 1\r\nX: 2") == nil)
    }

    @Test(arguments: [
        "X: y", "Content-Disposition: attachment; name=\"a\"", "Content-Disposition:", "Content-Disposition: form-data2; name=\"a\"",
    ])
    func `a part without the disposition form-data is refused`(headers: String) {
        #expect(refusal(ofHeaders: headers) == .noFormDataDisposition(part: 1))
    }

    @Test func `a part without headers is refused`() {
        #expect(refusal("--b\r\n\r\nx\r\n--b--") == .noFormDataDisposition(part: 1))
    }

    @Test(arguments: ["", "; filename=\"a\"", "; name=\"\"", "; xname=\"a\""])
    func `a part without a name is refused`(parameters: String) {
        #expect(refusal(ofHeaders: "Content-Disposition: form-data\(parameters)") == .noName(part: 1))
    }

    @Test(arguments: [
        "name=\"a\"; name=\"b\"", "name=\"a\"; NAME=b", "name=\"a\"; name*=utf-8''b", "name*0=\"a\"", "name=\"a", "name=\"a\\\"",
        "name=\"a\"b",
        "name=", "name", "name =\"a\"", "name=\"a\";", "name=a b", "name=ü", "name=\"a\"; filename=\"a\"; filename=\"b\"", "; name=\"a\"",
    ])
    func `parameters that two readers could read in two ways are refused`(parameters: String) {
        #expect(refusal(ofHeaders: "Content-Disposition: form-data; \(parameters)") == .dispositionParameters(part: 1))
    }

    @Test func `a name of more than 256 bytes is refused`() {
        #expect(refusal(ofHeaders: Self.named(String(repeating: "a", count: 256))) == nil)
        #expect(refusal(ofHeaders: Self.named(String(repeating: "ü", count: 129))) == .nameTooLong(part: 1, bytesMax: 256))
    }

    @Test func `a backslash in a name escapes a quote or a backslash only`() {
        #expect(refusal(ofHeaders: Self.named(#"mo\del"#)) == .nameBackslash(part: 1))
    }

    @Test(arguments: ["name=\"a\u{1}\"", "name=\"a\"; filename=\"a\u{1}\""])
    func `a name that is not UTF-8 is refused`(parameters: String) throws {
        let text = Self.body(("Content-Disposition: form-data; \(parameters)", "x"))
        let body = text.utf8.map { $0 == 1 ? 0xFF : $0 }
        #expect(throws: MultipartError.notUTF8(part: 1)) {
            try body.withUnsafeBytes { try MultipartForm(contentType: Self.type, body: $0) }
        }
    }

    @Test(arguments: ["base64", "quoted-printable", "x", ""])
    func `a transfer encoding that changes bytes is refused`(encoding: String) {
        #expect(refusal(ofHeaders: Self.named("a") + "\r\nContent-Transfer-Encoding: \(encoding)") == .transferEncoding(part: 1))
    }

    @Test func `a refusal names the part, the rule and the remedy`() {
        #expect(
            MultipartError.headersTooLong(part: 2, bytesMax: 8_192).message
                == "The headers of part 2 are longer than 8192 bytes; send shorter ones.")
    }
}
