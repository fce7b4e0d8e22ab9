import Glibc
import JSON
import SSE

/// The parsers as a process of its own, which `differential.py` compares with others.
///
/// It reads cases from stdin and answers each on stdout. Both have their length in front, 4 bytes in
/// little-endian order. The first byte of a case names its parser.
@main
struct ParserProbe {
    static func main() {
        var input = ProbeInput()
        var output = ProbeOutput()
        while let length = input.nextLength() {
            var fields = CaseFields(input.take(length))
            output.begin()
            switch fields.byte() {
            case UInt8(ascii: "j"): JSONProbe.answer(fields.rest(), into: &output)
            case UInt8(ascii: "e"): SpliceProbe.answer(&fields, into: &output)
            case UInt8(ascii: "s"): SSEProbe.answer(&fields, into: &output)
            case let kind: fatalError("no parser is called \(kind)")
            }
            output.end()
            // The driver sends many cases at once, and waits for all of their answers.
            if !input.hasMore { output.flush() }
        }
    }
}

/// The fields of a case, read front to back.
struct CaseFields {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func byte() -> UInt8 {
        defer { at += 1 }
        return bytes[at]
    }

    mutating func number() -> Int {
        defer { at += 4 }
        return (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
    }

    /// Returns bytes that have their length in front.
    mutating func block() -> [UInt8] {
        let count = number()
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    mutating func rest() -> [UInt8] {
        defer { at = bytes.count }
        return Array(bytes[at...])
    }
}

struct ProbeInput {
    private var buffer: [UInt8] = []
    private var at = 0

    /// True if a case has begun to arrive.
    var hasMore: Bool { at < buffer.count }

    /// Returns the length of the next case; nil at the end of the input.
    mutating func nextLength() -> Int? {
        guard fill(4) else { return nil }
        return take(4).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    }

    mutating func take(_ count: Int) -> [UInt8] {
        guard fill(count) else { fatalError("the input ends in a case") }
        defer { at += count }
        return Array(buffer[at..<at + count])
    }

    private mutating func fill(_ count: Int) -> Bool {
        while buffer.count - at < count {
            buffer.removeFirst(at)
            at = 0
            let old = buffer.count
            buffer += [UInt8](repeating: 0, count: 1 << 18)
            let got = buffer.withUnsafeMutableBytes { Glibc.read(STDIN_FILENO, $0.baseAddress! + old, 1 << 18) }
            buffer.removeLast((1 << 18) - max(0, got))
            guard got > 0 else { return false }
        }
        return true
    }
}

struct ProbeOutput {
    private var buffer: [UInt8] = []
    private var start = 0

    mutating func begin() {
        start = buffer.count
        number(0)
    }

    mutating func end() {
        let count = buffer.count - start - 4
        for byte in 0..<4 { buffer[start + byte] = UInt8(truncatingIfNeeded: count >> (8 * byte)) }
    }

    mutating func flush() {
        buffer.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = Glibc.write(STDOUT_FILENO, bytes.baseAddress! + sent, bytes.count - sent)
                guard count > 0 else { fatalError("the driver reads no more") }
                sent += count
            }
        }
        buffer.removeAll(keepingCapacity: true)
    }

    mutating func append(_ other: ProbeOutput) { buffer.append(contentsOf: other.buffer) }

    mutating func tag(_ character: Unicode.Scalar) { buffer.append(UInt8(ascii: character)) }

    mutating func number(_ value: Int) {
        for byte in 0..<4 { buffer.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }

    mutating func block(_ bytes: some Collection<UInt8>) {
        number(bytes.count)
        buffer.append(contentsOf: bytes)
    }

    mutating func integer(_ value: Int64?) {
        guard let value else { return tag("-") }
        tag("i")
        block(String(value).utf8)
    }
}
