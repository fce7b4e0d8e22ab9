import TestSupport
import Testing

@testable import JSON

private func object(_ text: String) throws(JSONError) -> JSONObject { try JSONObject(Array(text.utf8)) }

struct JSONObjectTests {
    @Test func `members are read with their types`() throws {
        let json = try object(
            #" {"s":"a\"b\\\u0041\ud83d\ude00ก","i":-42,"d":1.50e+3,"t":true,"f":false,"n":null,"o":{"x":[1]},"a":[1,"b",{}]} "#)
        #expect(try json.string("s") == "a\"b\\A😀ก")
        #expect(try json.integer("i") == -42)
        #expect(try json.decimalText("d") == "1.50e+3")
        #expect(try json.bool("t"))
        #expect(try !json.bool("f"))
        #expect(!json.has("n") && json.member("n") != nil)
        #expect(try json.object("o").array("x").first?.integer == 1)
        #expect(try json.array("a").count == 3)
        #expect(json.members.map(\.name) == ["s", "i", "d", "t", "f", "n", "o", "a"])
        #expect(json.raw("o").map { String(decoding: $0, as: UTF8.self) } == #"{"x":[1]}"#)
    }

    @Test func `absent and null are nil for optional members and missing for required ones`() throws {
        let json = try object(#"{"n":null}"#)
        #expect(try json.optionalString("n") == nil)
        #expect(try json.optionalInteger("absent") == nil)
        #expect(throws: JSONError.missing("n")) { try json.string("n") }
        #expect(throws: JSONError.missing("absent")) { try json.object("absent") }
    }

    @Test func `a member of another type is refused by name`() throws {
        let json = try object(#"{"s":"x","i":1.0,"e":1e3,"big":9223372036854775808,"small":-9223372036854775808}"#)
        #expect(throws: JSONError.wrongType("s", expected: "an integer")) { try json.integer("s") }
        #expect(throws: JSONError.wrongType("i", expected: "an integer")) { try json.integer("i") }
        #expect(throws: JSONError.wrongType("e", expected: "an integer")) { try json.integer("e") }
        #expect(throws: JSONError.wrongType("big", expected: "an integer")) { try json.integer("big") }
        #expect(try json.integer("small") == .min)
        #expect(throws: JSONError.wrongType("i", expected: "a string")) { try json.optionalString("i") }
    }

    @Test func `a repeated name is refused in every spelling`() {
        #expect(throws: JSONError.duplicateKey("a")) { try object(#"{"a":1,"b":2,"a":3}"#) }
        #expect(throws: JSONError.duplicateKey("a")) { try object(#"{"a":1,"\u0061":3}"#) }
        let many = (0..<100).map { #""k\#($0)":1"# }
        #expect(throws: JSONError.duplicateKey("k7")) { try object("{" + (many + [#""k7":2"#]).joined(separator: ",") + "}") }
    }

    @Test func `the members of an object are limited in number and in name`() throws {
        func members(_ count: Int) -> String { (0..<count).map { #""k\#($0)":1"# }.joined(separator: ",") }
        #expect(try object("{\(members(256))}").members.count == 256)
        #expect(throws: JSONError.tooManyMembers) { try object("{\(members(257))}") }
        #expect(try object(#"{"a":{\#(members(257))}}"#).members.count == 1)
        #expect(throws: JSONError.tooManyMembers) { try object(#"{"a":{\#(members(257))}}"#).object("a") }
        let name = String(repeating: "n", count: 256)
        #expect(try object(#"{"\#(name)":1}"#).integer(name) == 1)
        #expect(throws: JSONError.nameTooLong) { try object(#"{"\#(name)n":1}"#) }
        #expect(try object(#"{"a":{"\#(name)n":1}}"#).members.count == 1)
    }

    @Test(arguments: [
        (#"{}"#, 0), (#"{"a":1}"#, 1), (#"{"a":[]}"#, 1), (#"{"a":[1,"x",null]}"#, 4), (#"{"a":{"b":{"c":true}},"d":[[]]}"#, 5),
    ])
    func `values are counted at every depth, and limited if a reader asks for it`(text: String, values: Int) throws {
        _ = try JSONObject(Array(text.utf8), valuesMax: values)
        guard values > 0 else { return }
        #expect(throws: JSONError.tooManyValues(max: values - 1)) { try JSONObject(Array(text.utf8), valuesMax: values - 1) }
    }

    @Test func `a run of escapes is read, and refused wherever it is cut`() throws {
        let run = #"{"a":"\"\\\/\b\f\n\r\t\u0041\u0e01\ud83d\ude00\\"}"#
        #expect(try object(run).string("a") == "\"\\/\u{8}\u{C}\n\r\tA\u{E01}\u{1F600}\\")
        for cut in 1..<run.utf8.count {
            #expect(throws: JSONError.self) { try JSONObject(Array(run.utf8.prefix(cut))) }
        }
    }

    @Test(
        arguments: [
            ("plain", 5), (#"\u0e01"#, 3), (#"\u0041"#, 1), (#"\u007f"#, 1), (#"\u0080"#, 2), (#"\u00E9"#, 2), (#"\u07FF"#, 2),
            (#"\u0800"#, 3), (#"\uD83D\uDE00"#, 4), (#"\ud83d\ude00"#, 4), (#"\ud7ff"#, 3), (#"\n\t\"\\\/"#, 5), ("ก", 3), ("😀", 4),
            (#"a\u0e01\n\u0e01b"#, 9), (#"\\u0e01"#, 6), ("", 0),
        ])
    func `the bytes of the decoded text are counted`(text: String, bytes: Int) throws {
        let json = try object(#"{"t":"\#(text)"}"#)
        #expect(json.decodedCount - #"{"t":""}"#.utf8.count == bytes)
        #expect(try json.string("t").utf8.count == bytes)
        let inside = json.raw("t")?.withUnsafeBytes { JSONScan($0).decodedCount }
        #expect(inside == bytes + 2)
    }

    @Test func `nesting is limited`() throws {
        let fits = String(repeating: "[", count: 63) + String(repeating: "]", count: 63)
        _ = try object(#"{"a":\#(fits)}"#)
        #expect(throws: JSONError.depth) { try object(#"{"a":[\#(fits)]}"#) }
        #expect(throws: JSONError.depth) { try object(#"{"a":"# + String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.depth) { try JSONValue(Array(String(repeating: "{\"a\":", count: 100_000).utf8)) }
    }

    @Test(
        arguments: [
            #"{"a":01}"#, #"{"a":+1}"#, #"{"a":1.}"#, #"{"a":.5}"#, #"{"a":1e}"#, #"{"a":1e+}"#, #"{"a":-}"#, #"{"a":0x1}"#, #"{"a":NaN}"#,
            #"{"a":Infinity}"#, #"{"a":tru}"#, #"{"a":True}"#, #"{"a":nulll}"#, #"{"a":1,}"#, #"{,"a":1}"#, #"{"a" 1}"#, #"{"a":}"#,
            #"{a:1}"#, #"{'a':1}"#, #"{"a":[1,]}"#, #"{"a":[,1]}"#, #"{"a":[1 2]}"#, #"{"a":1}{"b":2}"#, #"{"a":1} x"#, #"{"a":1}}"#,
            #"{"a":"\x"}"#, #"{"a":"\u12"}"#, #"{"a":"\u12g4"}"#,
            #"{"a":"\u/000"}"#, #"{"a":"\u0:00"}"#, #"{"a":"\u00@0"}"#,
            #"{"a":"\u000G"}"#, #"{"a":"\u`000"}"#,
            #"{"a":"\u000é"}"#, #"{"a":"\u\u\u"}"#, #"{"a":"\ud800"}"#, #"{"a":"\udc00"}"#, #"{"a":"\ud800\ud800"}"#,
            #"{"a":"\ud800x"}"#, #"{"a":"\ud800\n"}"#, "{\"a\":\"\u{1}\"}", "{\"a\":\"line\nbreak\"}", "{\"a\":\"tab\t\"}",
            "{\"a\"\u{A0}:1}", "{\"a\":/*c*/1}", "{\"a\":1//c\n}", #"{"a"#, #"{"a\"#,
        ]) func `text outside the grammar is refused`(_ text: String)
    {
        #expect(throws: JSONError.self) { try object(text) }
    }

    @Test(arguments: ["", " ", "[]", "1", "\"{}\"", "null", "\u{FEFF}{}", "x{}"])
    func `a value that is no object is refused`(_ text: String) {
        #expect(throws: JSONError.notAnObject) { try object(text) }
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
            [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xFE], [0xC3, 0x28], [0xF0, 0x9F, 0x98],
        ] as [[UInt8]]) func `malformed UTF-8 is refused in names and values`(_ bytes: [UInt8])
    {
        for padding in 0..<10 {
            let space = [UInt8](repeating: 0x61, count: padding)
            #expect(throws: JSONError.self) { try JSONObject(Array("{\"a\":\"".utf8) + space + bytes + space + Array("\"}".utf8)) }
            #expect(throws: JSONError.self) { try JSONObject(Array("{\"".utf8) + space + bytes + Array("\":1}".utf8)) }
        }
    }

    @Test func `text cut at any byte is refused, never misread`() throws {
        let whole = Array(#"{"model":"gpt","n":12,"s":"กé😀\ud83d\ude00\n","a":[true,{"b":null}],"f":-1.5e-7}"#.utf8)
        _ = try JSONObject(whole)
        for length in 0..<whole.count {
            #expect(throws: JSONError.self, "cut at \(length)") { try JSONObject(Array(whole[..<length])) }
        }
    }

    @Test func `huge numbers keep their characters`() throws {
        let digits = String(repeating: "9", count: 10_000)
        #expect(try object(#"{"n":-\#(digits).\#(digits)e\#(digits)}"#).decimalText("n") == "-\(digits).\(digits)e\(digits)")
    }
}

struct JSONWriterTests {
    @Test func `commas, names and escapes are right`() throws {
        let bytes = JSONWriter.object { json in
            json.field("text", "quote\" back\\ \n\t\r\u{8}\u{c}\u{1f}\u{7f} ก😀")
            json.field("min", Int64.min)
            json.field("none", String?.none)
            json.field("price", raw: "2.50".utf8)
            json.object("inner") { json in
                json.array("list") {
                    $0.integer(0); $0.string(""); $0.bool(false); $0.null(); $0.array { _ in }
                }
            }
            json.object("empty") { _ in }
            json.field("end{[:", true)
        }
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"text":"quote\" back\\ \n\t\r\b\f\u001f"# + "\u{7f}"
                + #" ก😀","min":-9223372036854775808,"none":null,"price":2.50,"inner":{"list":[0,"",false,null,[]]},"empty":{},"end{[:":true}"#
        )
        #expect(try JSONObject(bytes).string("text") == "quote\" back\\ \n\t\r\u{8}\u{c}\u{1f}\u{7f} ก😀")
    }

    @Test func `a string with bytes to escape at every offset reads back`() throws {
        for length in 0..<40 {
            for place in 0..<max(1, length) {
                for special in ["\"", "\\", "\n", "\u{0}", "ก"] {
                    var text = Array(repeating: "x", count: length)
                    if length > 0 { text[place] = special }
                    let bytes = JSONWriter.object { $0.field("s", text.joined()) }
                    #expect(try JSONObject(bytes).string("s") == text.joined())
                }
            }
        }
    }
}

struct JSONSpliceTests {
    @Test func `members are replaced, added and removed, and the rest keeps its bytes`() throws {
        let json = try object(#" { "a" : 1.10 , "b":"x\u0041","c":[ 1, 2 ], "d":null }"#)
        var splice = JSONSplice(json)
        splice.set("b", raw: Array("true".utf8))
        splice.remove("c")
        splice.remove("absent")
        splice.set("new", raw: Array("{}".utf8))
        splice.set("new", raw: Array("[]".utf8))
        #expect(String(decoding: splice.apply(), as: UTF8.self) == #" { "a" : 1.10 , "b":true, "d":null,"new":[] }"#)
        #expect(JSONSplice(json).apply() == json.bytes)
    }

    @Test(arguments: [
        ("\r\n{\t\"a\" : 1\n,  \"b\":2 , \"c\":3 }\n", "a", "\r\n{\t\"b\":2 , \"c\":3 }\n"),
        ("\r\n{\t\"a\" : 1\n,  \"b\":2 , \"c\":3 }\n", "b", "\r\n{\t\"a\" : 1 , \"c\":3 }\n"),
        ("\r\n{\t\"a\" : 1\n,  \"b\":2 , \"c\":3 }\n", "c", "\r\n{\t\"a\" : 1\n,  \"b\":2 }\n"), (" { \"a\" : 1 } ", "a", " {  } "),
    ])
    func `a removed member takes one comma with it, and all white space but its own stays`(text: String, name: String, left: String) throws
    {
        var splice = JSONSplice(try object(text))
        splice.remove(name)
        #expect(String(decoding: splice.apply(), as: UTF8.self) == left)
    }

    /// Swift's `==` takes the Kelvin sign for "K", and both spellings of é for one.
    @Test func `names that only look alike are different members`() throws {
        let json = try object("{\"\u{212A}\":1,\"\u{E9}\":2,\"e\u{301}\":3}")
        #expect(json.member("K") == nil)
        #expect(try json.integer("e\u{301}") == 3)
        var splice = JSONSplice(json)
        splice.set("K", raw: [0x34])
        splice.remove("e\u{301}")
        let spliced = Array("{\"\u{212A}\":1,\"\u{E9}\":2,\"K\":4}".utf8)
        #expect(splice.apply() == spliced)
    }

    @Test func `an emptied object and an empty one are well-formed`() throws {
        var emptied = JSONSplice(try object(#"{"a":1}"#))
        emptied.remove("a")
        #expect(emptied.apply() == Array("{}".utf8))
        var filled = JSONSplice(try object("{}"))
        filled.set("a", raw: [0x31])
        #expect(filled.apply() == Array(#"{"a":1}"#.utf8))
    }
}

struct JSONScanTests {
    private func scan<R>(_ text: String, _ body: (JSONScan) -> R) -> R { Array(text.utf8).withUnsafeBytes { body(JSONScan($0)) } }

    @Test func `usage is found at its own level only`() {
        let answer = #"""
            {"id":"c1","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}","usage":{"prompt_tokens":2}}}],
             "usage" : {"prompt_tokens": 11, "details":{"total_tokens":9,"cached_tokens":3}, "completion_tokens":7,"total_tokens":18}}
            """#
        scan(answer) { json in
            #expect(json["usage"]?["prompt_tokens"]?.integer == 11)
            #expect(json["usage"]?["completion_tokens"]?.integer == 7)
            #expect(json["usage"]?["total_tokens"]?.integer == 18)
            #expect(json["usage"]?["details"]?["cached_tokens"]?.integer == 3)
            #expect(json["id"]?.string == "c1")
            #expect(json["choices"]?.firstElement?["message"]?["content"]?.string == #""usage":{"prompt_tokens":1}"#)
            #expect(json["prompt_tokens"] == nil)
        }
    }

    @Test func `null and absent usage differ`() {
        #expect(scan(#"{"usage":null}"#) { $0["usage"]?.isNull } == true)
        #expect(scan(#"{"usages":1}"#) { $0["usage"] == nil })
        #expect(scan(#"{"choices":[]}"#) { $0["choices"]?.firstElement == nil })
    }

    @Test func `arbitrary bytes never trap the scanner nor the reader`() {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        let alphabet = Array(#"{}[]":,\u0d8tfn1-.eE "#.utf8) + [0x80, 0xC3, 0xED, 0xF0, 0x0A]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            bytes.withUnsafeBytes { bytes in
                let json = JSONScan(bytes)
                _ = json["u"]?["d"]?.integer
                _ = json.firstElement?.string
            }
            if let value = try? JSONValue(bytes), case .object(let object) = value {
                // White space around the value is not the object's.
                #expect(JSONSplice(object).apply() == object.bytes, "seed \(seed)")
            }
        }
    }
}

struct JSONRoundTripTests {
    @Test func `a written value reads back the same`() throws {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        for _ in 0..<500 {
            let tree = JSONTree(random: &random, depth: 0)
            var writer = JSONWriter()
            tree.write(&writer)
            #expect(JSONTree(try JSONValue(writer.bytes)) == tree, "seed \(seed)")
        }
    }
}

extension JSONTree {
    fileprivate init(random: inout SplitMix64, depth: Int) {
        switch Int.random(in: 0..<(depth > 5 ? 4 : 6), using: &random) {
        case 0: self = .string(Self.text(&random))
        case 1:
            let fraction = Bool.random(using: &random) ? ".\(Int.random(in: 0...999, using: &random))" : ""
            self = .number("\(Int64.random(in: .min ... .max, using: &random))\(fraction)")
        case 2: self = .bool(Bool.random(using: &random))
        case 3: self = .null
        case 4:
            self = .object(
                (0..<Int.random(in: 0..<5, using: &random)).map {
                    ("\($0)" + Self.text(&random), JSONTree(random: &random, depth: depth + 1))
                })
        default: self = .array((0..<Int.random(in: 0..<5, using: &random)).map { _ in JSONTree(random: &random, depth: depth + 1) })
        }
    }

    private static func text(_ random: inout SplitMix64) -> String {
        let ranges: [ClosedRange<UInt32>] = [0...0x7F, 0x20...0x7E, 0x80...0x7FF, 0x800...0xD7FF, 0xE000...0xFFFF, 0x10000...0x10FFFF]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0..<30, using: &random) {
            text.append(Unicode.Scalar(UInt32.random(in: ranges.randomElement(using: &random)!, using: &random))!)
        }
        return String(text)
    }

    fileprivate func write(_ json: inout JSONWriter) {
        switch self {
        case .string(let text): json.string(text)
        case .number(let text): json.raw(text.utf8)
        case .bool(let bool): json.bool(bool)
        case .null: json.null()
        case .object(let members):
            json.object { json in
                for (name, value) in members {
                    json.key(name)
                    value.write(&json)
                }
            }
        case .array(let values): json.array { json in for value in values { value.write(&json) } }
        }
    }
}

extension JSONScan {
    fileprivate var firstElement: JSONScan? {
        var first: JSONScan?
        forEachElement { element in
            first = element
            return false
        }
        return first
    }
}
