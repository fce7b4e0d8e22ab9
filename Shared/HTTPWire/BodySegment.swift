/// A piece of a message body that is built from another body.
package enum BodySegment: Hashable, Sendable {
    /// Bytes of the other body.
    case range(Range<Int>)
    case bytes([UInt8])

    package var count: Int {
        switch self {
        case .range(let range): range.count
        case .bytes(let bytes): bytes.count
        }
    }
}
