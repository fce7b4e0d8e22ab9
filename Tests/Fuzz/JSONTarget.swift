import Foundation

@testable import JSON

/// One text for every reader: the strict one, the scanner, and Foundation's, which is the judge of
/// what the grammar allows.
enum JSONTarget {
    static func run(_ input: UnsafeRawBufferPointer) {
        walk(JSONScan(input), depth: 0)
        // The outermost value of the scanner ends with its buffer.
        let end = input.lastIndex { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }.map { $0 + 1 } ?? 0
        let trimmed = UnsafeRawBufferPointer(rebasing: input[..<end])
        let bytes = Array(input)
        let strict = Result { () throws(JSONError) in try JSONValue(bytes) }
        let foundation = Result { try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed) }
        checkReader(input, strict)
        checkObject(bytes, strict)
        switch (strict, foundation) {
        case (.success(let value), .success(let other)):
            let tree = Tree(value)
            check(tree.isSame(other), "Foundation reads something else")
            checkScan(tree, JSONScan(trimmed))
            checkWriting(tree)
        case (.success(let value), .failure):
            let tree = Tree(value)
            // Foundation refuses what no Double holds.
            check(tree.hasHugeNumber, "Foundation refuses it")
            checkScan(tree, JSONScan(trimmed))
        case (.failure(let error), .success):
            check(isOurRule(error) || isOtherEncoding(bytes) || hasTrailingCommas(bytes), "only Foundation accepts it: \(error)")
        case (.failure, .failure): break
        }
    }

    /// Bounds, and names that are there twice, are rules of ours and not of the grammar.
    private static func isOurRule(_ error: JSONError) -> Bool {
        switch error {
        case .syntax, .notAnObject: false
        default: true
        }
    }

    /// Foundation also reads UTF-16, UTF-32 and a byte order mark.
    private static func isOtherEncoding(_ bytes: [UInt8]) -> Bool {
        bytes.prefix(4).contains { $0 == 0 || $0 >= 0xEF }
    }

    /// Foundation takes `[1,]` for `[1]`.
    private static func hasTrailingCommas(_ bytes: [UInt8]) -> Bool {
        do throws(JSONError) {
            _ = try JSONValue(withoutTrailingCommas(bytes))
            return true
        } catch {
            return isOurRule(error)
        }
    }

    private static func withoutTrailingCommas(_ bytes: [UInt8]) -> [UInt8] {
        var (kept, isString, isEscaped) = ([UInt8](), false, false)
        for byte in bytes {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\"") {
                isString.toggle()
            } else if isString {
                isEscaped = byte == UInt8(ascii: "\\")
            } else if [UInt8(ascii: "]"), UInt8(ascii: "}")].contains(byte) {
                while let last = kept.last, [0x20, 0x0A, 0x0D, 0x09].contains(last) { kept.removeLast() }
                if kept.last == UInt8(ascii: ",") { kept.removeLast() }
            }
            kept.append(byte)
        }
        return kept
    }

    /// The reader alone, over a block of exactly the size of the input.
    private static func checkReader(_ input: UnsafeRawBufferPointer, _ strict: Result<JSONValue, JSONError>) {
        guard !input.isEmpty else { return }
        var reader = JSONReader(input.bindMemory(to: UInt8.self))
        reader.skipSpace()
        let kind = Result { () throws(JSONError) in try reader.value(depth: 0) }
        reader.skipSpace()
        guard case .failure(let error) = strict, !isOurRule(error) else { return }
        if case .success = kind { check(reader.at < reader.end, "only the reader accepts it") }
    }

    private static func checkObject(_ bytes: [UInt8], _ strict: Result<JSONValue, JSONError>) {
        guard let object = try? JSONObject(bytes) else {
            if case .success(let value) = strict { check(value.object == nil, "only JSONValue accepts it") }
            return
        }
        guard case .success(.object(let same)) = strict else { return check(false, "only JSONObject accepts it") }
        check(same.members.map(\.name) == object.members.map(\.name), "other members")
        check(JSONSplice(object).apply() == object.bytes, "changed by no change")
        var splice = JSONSplice(object)
        splice.set("fuzz", raw: Array("[1]".utf8))
        let removed = object.members.first.map(\.name)
        if let removed, removed != "fuzz" { splice.remove(removed) }
        guard let spliced = try? JSONObject(splice.apply()) else { return check(false, "no object after a splice") }
        check(spliced.raw("fuzz").map(Array.init) == Array("[1]".utf8), "not set")
        let changed = [removed, "fuzz"].compactMap { $0.map { Array($0.utf8) } }
        let kept = object.members.filter { !changed.contains(Array($0.name.utf8)) }
        check(spliced.members.map(\.name).filter { $0 != "fuzz" } == kept.map(\.name), "other members after a splice")
        for member in kept {
            check(spliced.raw(member.name) == object.bytes[member.valueRange], "another value of \(member.name) after a splice")
        }
    }

    // MARK: The scanner

    /// Goes wherever the scanner leads, on text of any kind.
    private static func walk(_ scan: JSONScan, depth: Int) {
        _ = (scan.isNull, scan.isObject, scan.integer, scan.string)
        guard depth < 8 else { return }
        scan.forEachMember { _, value in
            walk(value, depth: depth + 1)
            return true
        }
        scan.forEachElement { element in
            walk(element, depth: depth + 1)
            return true
        }
        _ = scan["usage"]?["prompt_tokens"]?.integer
    }

    /// In well-formed text the scanner finds what the reader finds.
    private static func checkScan(_ tree: Tree, _ scan: JSONScan) {
        switch tree {
        case .string(let text): check(scan.string.map { Array($0.utf8) } == Array(text.utf8), "another string: \(text)")
        case .number(let text): check(scan.integer == Int64(text), "another number: \(text)")
        case .null: check(scan.isNull, "not null")
        case .bool: check(!scan.isNull && !scan.isObject && scan.integer == nil, "not a truth value")
        case .unreadable: break
        case .array(let elements):
            var found: [JSONScan] = []
            scan.forEachElement { element in
                found.append(element)
                return true
            }
            check(found.count == elements.count, "\(found.count) elements instead of \(elements.count)")
            for (element, scan) in zip(elements, found) { checkScan(element, scan) }
        case .object(let members):
            var found: [(name: String, value: JSONScan)] = []
            scan.forEachMember { name, value in
                let quoted = [0x22] + Array(name) + [0x22]
                found.append(((try? JSONValue(quoted))?.string ?? "no string", value))
                return true
            }
            check(scan.isObject, "no object")
            check(found.map { Array($0.name.utf8) } == members.map { Array($0.name.utf8) }, "other names: \(found.map(\.name))")
            for (member, scan) in zip(members, found) { checkScan(member.value, scan.value) }
        }
    }

    // MARK: The writer

    private static func checkWriting(_ tree: Tree) {
        var json = JSONWriter()
        tree.write(&json)
        guard let value = try? JSONValue(json.bytes) else {
            return check(false, "written, but not read again: \(String(decoding: json.bytes, as: UTF8.self))")
        }
        var again = JSONWriter()
        Tree(value).write(&again)
        check(again.bytes == json.bytes, "written, and read as something else")
    }
}

/// A value with everything inside it.
private indirect enum Tree {
    case string(String), number(String), bool(Bool), null
    case array([Tree])
    case object([(name: String, value: Tree)])
    /// An object inside that has a name twice: refused when it is read.
    case unreadable

    init(_ value: JSONValue) {
        switch value {
        case .string(let text): self = .string(text)
        case .number(let text): self = .number(text)
        case .bool(let bool): self = .bool(bool)
        case .null: self = .null
        case .array(let elements): self = .array(elements.map(Tree.init))
        case .object(let object):
            self = .object(
                object.members.map { member in
                    ((member.name), (try? JSONValue(Array(object.bytes[member.valueRange]))).map(Tree.init) ?? .unreadable)
                })
        }
    }

    var hasHugeNumber: Bool {
        switch self {
        case .number(let text): Double(text).map { !$0.isFinite } ?? true
        case .array(let elements): elements.contains(where: \.hasHugeNumber)
        case .object(let members): members.contains(where: \.value.hasHugeNumber)
        case .unreadable: true
        case .string, .bool, .null: false
        }
    }

    func isSame(_ other: Any) -> Bool {
        switch self {
        case .string(let text): return (other as? String).map { Array($0.utf8) == Array(text.utf8) } ?? false
        case .number(let text):
            guard let number = other as? NSNumber else { return false }
            return Int64(text).map { $0 == number.int64Value } ?? true
        case .bool(let bool): return (other as? NSNumber)?.boolValue == bool
        case .null: return other is NSNull
        case .unreadable: return true
        case .array(let elements):
            guard let others = other as? [Any], others.count == elements.count else { return false }
            return zip(elements, others).allSatisfy { $0.isSame($1) }
        case .object(let members):
            guard let others = other as? [String: Any] else { return false }
            // A dictionary of Swift has one place for names that only look alike.
            guard others.count == members.count else { return others.count == Set(members.map(\.name)).count }
            return members.allSatisfy { member in others[member.name].map { member.value.isSame($0) } ?? false }
        }
    }

    func write(_ json: inout JSONWriter) {
        switch self {
        case .string(let text): json.string(text)
        case .number(let text): json.raw(text.utf8)
        case .bool(let bool): json.bool(bool)
        case .null, .unreadable: json.null()
        case .array(let elements): json.array { json in for element in elements { element.write(&json) } }
        case .object(let members):
            json.object { json in
                for member in members {
                    json.key(member.name)
                    member.value.write(&json)
                }
            }
        }
    }
}
