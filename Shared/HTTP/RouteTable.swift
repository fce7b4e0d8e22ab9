import Text

/// Patterns in segments: literals match byte for byte (`/api/keys`), `{id}` one segment, `{file...}` at the end the rest.
/// Where several match, the one with the earlier literal wins. Nothing is normalised: `//`, `.` and `..` match no literal.
struct RouteTable<Value: Sendable>: Sendable {
    private enum Segment: Sendable {
        case literal([UInt8])
        case parameter(String)
        case rest(String)

        var rank: Int {
            switch self {
            case .literal: 0
            case .parameter: 1
            case .rest: 2
            }
        }
    }

    private struct Entry: Sendable {
        let pattern: String
        let segments: [Segment]
        var value: Value
        var isExact: Bool { segments.allSatisfy { $0.rank == 0 } }
    }

    private var entries: [Entry] = []
    /// Patterns without parameters, by the hash of their bytes.
    private var exact: [UInt64: [Int]] = [:]
    /// The others, most specific first.
    private var patterned: [Int] = []

    /// The value of `pattern`, made on first use.
    subscript(pattern: String, default make: @autoclosure () -> Value) -> Value {
        get { entries.first { $0.pattern == pattern }?.value ?? make() }
        set {
            if let index = entries.firstIndex(where: { $0.pattern == pattern }) {
                entries[index].value = newValue
            } else {
                insert(Entry(pattern: pattern, segments: Self.segments(of: pattern), value: newValue))
            }
        }
    }

    /// Every pattern and its value, in the order of their first use.
    var all: [(pattern: String, value: Value)] { entries.map { ($0.pattern, $0.value) } }

    private mutating func insert(_ entry: Entry) {
        let index = entries.count
        entries.append(entry)
        if entry.isExact {
            exact[Self.hash(Array(entry.pattern.utf8)[...]), default: []].append(index)
        } else {
            patterned.append(index)
            let entries = entries
            patterned.sort { entries[$0].segments.map(\.rank).lexicographicallyPrecedes(entries[$1].segments.map(\.rank)) }
        }
    }

    private static func segments(of pattern: String) -> [Segment] {
        precondition(pattern.hasPrefix("/"), "a route starts with '/': \(pattern)")
        let parts = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        return parts.enumerated().map { index, part in
            guard part.hasPrefix("{"), part.hasSuffix("}") else { return .literal(Array(part.utf8)) }
            let name = part.dropFirst().dropLast()
            guard name.hasSuffix("...") else { return .parameter(String(name)) }
            precondition(index == parts.count - 1, "'{\(name)}' must end the pattern \(pattern)")
            return .rest(String(name.dropLast(3)))
        }
    }

    enum Match {
        case none
        /// A parameter that cannot be decoded.
        case malformed
        case found(Value, pattern: String, PathParameters)
    }

    func match(_ path: ArraySlice<UInt8>) -> Match {
        for index in exact[Self.hash(path)] ?? [] where path.elementsEqual(entries[index].pattern.utf8) {
            return .found(entries[index].value, pattern: entries[index].pattern, PathParameters())
        }
        for index in patterned {
            guard let captures = Self.captures(entries[index].segments, path) else { continue }
            var parameters = PathParameters()
            for (name, bytes) in captures {
                guard let value = PercentEncoding.decode(bytes) else { return .malformed }
                parameters.add(name, value)
            }
            return .found(entries[index].value, pattern: entries[index].pattern, parameters)
        }
        return .none
    }

    private static func captures(_ segments: [Segment], _ path: ArraySlice<UInt8>) -> [(String, ArraySlice<UInt8>)]? {
        var captures: [(String, ArraySlice<UInt8>)] = []
        var rest = path
        for segment in segments {
            guard rest.first == UInt8(ascii: "/") else { return nil }
            rest = rest.dropFirst()
            if case .rest(let name) = segment {
                captures.append((name, rest))
                return captures
            }
            let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            switch segment {
            case .literal(let bytes):
                guard rest[..<end].elementsEqual(bytes) else { return nil }
            case .parameter(let name):
                guard end > rest.startIndex else { return nil }
                captures.append((name, rest[..<end]))
            case .rest: break
            }
            rest = rest[end...]
        }
        return rest.isEmpty ? captures : nil
    }

    /// FNV-1a.
    private static func hash(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBufferPointer { buffer in
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in buffer { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            return hash
        }
    }
}
