/// Changes top-level members of an object by copying byte ranges: what is not named keeps every byte it had, numbers included.
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
        if let index = changes.firstIndex(where: { $0.name == name }) {
            changes[index].change = change
        } else {
            changes.append((name, change))
        }
    }

    package func apply() -> [UInt8] {
        guard !changes.isEmpty else { return object.bytes }
        var writer = JSONWriter(reserving: object.bytes.count + changes.count * 64)
        var added = changes
        writer.object { writer in
            for member in object.members {
                guard let index = added.firstIndex(where: { $0.name == member.name }) else {
                    writer.raw(object.bytes[member.range])
                    continue
                }
                if case .set(let raw) = added[index].change { writer.field(member.name, raw: raw) }
                added.remove(at: index)
            }
            for case (let name, .set(let raw)) in added { writer.field(name, raw: raw) }
        }
        return writer.bytes
    }
}
