import JSON

/// The strict readers and the scanner, over one text.
enum JSONProbe {
    static func answer(_ bytes: [UInt8], into output: inout ProbeOutput) {
        do throws(JSONError) {
            write(try JSONObject(bytes), into: &output)
        } catch {
            write(error, into: &output)
        }
        let value = Result { () throws(JSONError) in try JSONValue(bytes) }
        switch value {
        case .success(let value): write(value, into: &output)
        case .failure(let error): write(error, into: &output)
        }
        // The scanner promises members of well-formed text only, and no trap on any other.
        bytes.withUnsafeBytes { bytes in
            var scanned = ProbeOutput()
            let end = bytes.lastIndex { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }.map { $0 + 1 } ?? 0
            write(JSONScan(UnsafeRawBufferPointer(rebasing: bytes[..<end])), depth: 0, into: &scanned)
            if case .success = value { output.append(scanned) }
        }
    }

    private static func write(_ error: JSONError, into output: inout ProbeOutput) {
        output.tag("!")
        switch error {
        case .notAnObject: output.tag("o")
        case .syntax: output.tag("s")
        case .depth: output.tag("d")
        case .tooManyMembers: output.tag("m")
        case .nameTooLong: output.tag("n")
        case .duplicateKey: output.tag("k")
        default: output.tag("?")
        }
    }

    /// Writes the members of the outermost object: name, kind, own bytes, and the integer of a number.
    private static func write(_ object: JSONObject, into output: inout ProbeOutput) {
        output.tag("{")
        output.number(object.decodedCount)
        output.number(object.members.count)
        for member in object.members {
            output.block(member.name.utf8)
            output.tag(letter(of: member.kind))
            output.block(object.bytes[member.range])
            output.block(object.bytes[member.valueRange])
            check(object.member(member.name)?.range == member.range, "\(member.name) is found elsewhere")
            if member.kind == .number { output.integer((try? object.integer(member.name)) ?? nil) }
        }
    }

    private static func letter(of kind: JSONKind) -> Unicode.Scalar {
        switch kind {
        case .string: "s"
        case .number: "n"
        case .object: "{"
        case .array: "["
        case .true: "t"
        case .false: "f"
        case .null: "0"
        }
    }

    /// Writes a value with everything inside it. An object that is refused when it is read is `!`.
    private static func write(_ value: JSONValue, into output: inout ProbeOutput) {
        switch value {
        case .string(let text):
            output.tag("s")
            output.block(text.utf8)
        case .number(let text):
            output.tag("n")
            output.block(text.utf8)
            output.integer(value.integer)
        case .bool(let bool): output.tag(bool ? "t" : "f")
        case .null: output.tag("0")
        case .array(let elements):
            output.tag("[")
            output.number(elements.count)
            for element in elements { write(element, into: &output) }
        case .object(let object):
            output.tag("{")
            output.number(object.members.count)
            for member in object.members {
                output.block(member.name.utf8)
                if let value = try? JSONValue(Array(object.bytes[member.valueRange])) {
                    write(value, into: &output)
                } else {
                    output.tag("!")
                }
            }
        }
    }

    /// - Parameter depth: bounds the walk through text that is not well-formed.
    private static func write(_ scan: JSONScan, depth: Int, into output: inout ProbeOutput) {
        guard depth <= JSONObject.depthMax else { return }
        switch scan.bytes.first {
        case UInt8(ascii: "{"):
            var members: [(name: UnsafeRawBufferPointer, value: JSONScan)] = []
            scan.forEachMember { name, value in
                members.append((name, value))
                return true
            }
            output.tag("{")
            output.number(members.count)
            for (name, value) in members {
                let quoted = [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
                output.block((quoted.withUnsafeBytes { JSONScan($0).string } ?? "no string").utf8)
                write(value, depth: depth + 1, into: &output)
            }
        case UInt8(ascii: "["):
            var elements: [JSONScan] = []
            scan.forEachElement { element in
                elements.append(element)
                return true
            }
            output.tag("[")
            output.number(elements.count)
            for element in elements { write(element, depth: depth + 1, into: &output) }
        case UInt8(ascii: "\""):
            output.tag("s")
            output.block((scan.string ?? "no string").utf8)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): output.tag(scan.bytes.first == UInt8(ascii: "t") ? "t" : "f")
        case _ where scan.isNull: output.tag("0")
        default:
            output.tag("n")
            output.block(scan.bytes)
            output.integer(scan.integer)
        }
    }
}

/// Ends the process if the parsers contradict each other.
func check(_ holds: Bool, _ reason: @autoclosure () -> String) {
    guard !holds else { return }
    fatalError(reason())
}
