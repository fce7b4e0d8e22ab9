/// Changes top-level members of an object by copying byte ranges. All bytes outside of the changed
/// members stay as they are.
package struct JSONSplice {
    private enum Change {
        case set([UInt8])
        case remove
    }

    private let object: JSONObject
    private var changes: [(name: String, change: Change)] = []

    package init(_ object: JSONObject) { self.object = object }

    /// Replaces the member's value in place, or adds the member at the end. `raw` is one JSON value.
    package mutating func set(_ name: String, raw: [UInt8]) { change(name, .set(raw)) }

    /// An absent member is no error.
    package mutating func remove(_ name: String) { change(name, .remove) }

    private mutating func change(_ name: String, _ change: Change) {
        if let index = changes.firstIndex(where: { $0.name.hasSameBytes(as: name) }) {
            changes[index].change = change
        } else {
            changes.append((name, change))
        }
    }

    /// Returns the object with its changes. White space around members stays. A removed member takes the
    /// comma in front of it, or the one behind it if it is the first.
    package func apply() -> [UInt8] {
        guard !changes.isEmpty else { return object.bytes }
        let bytes = object.bytes
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + changes.count * 64)
        var added = changes
        var end = object.members.first?.range.lowerBound ?? (bytes.firstIndex(of: 0x7B) ?? 0) + 1
        result += bytes[..<end]
        var isEmpty = true
        for member in object.members {
            defer { end = member.range.upperBound }
            let change = added.firstIndex { $0.name.hasSameBytes(as: member.name) }.map { added.remove(at: $0).change }
            if case .remove = change { continue }
            if !isEmpty { result += bytes[end..<member.range.lowerBound] }
            isEmpty = false
            if case .set(let raw) = change { Self.append(member.name, raw, to: &result) } else { result += bytes[member.range] }
        }
        for case (let name, .set(let raw)) in added {
            if !isEmpty { result.append(0x2C) }
            isEmpty = false
            Self.append(name, raw, to: &result)
        }
        return result + bytes[end...]
    }

    private static func append(_ name: String, _ raw: [UInt8], to result: inout [UInt8]) {
        var writer = JSONWriter(reserving: name.utf8.count + raw.count + 3)
        writer.field(name, raw: raw)
        result += writer.bytes
    }
}
