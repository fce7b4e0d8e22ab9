/// The bytes of a connection that arrived while a request before them was answered, or while the
/// caller of their request was checked.
struct ReadAhead {
    /// A connection that has so many reads no more until they are used.
    static let bytesMax = 64 << 10

    private var bytes: [UInt8] = []
    private var used = 0

    var isEmpty: Bool { used >= bytes.count }
    var isFull: Bool { bytes.count - used >= Self.bytesMax }
    var unread: ArraySlice<UInt8> { bytes[used...] }

    mutating func append(_ more: Slice<UnsafeRawBufferPointer>) {
        // A client that never lets its pipeline run dry must not keep what it sent hours ago.
        if used > Self.bytesMax {
            bytes.removeSubrange(..<used)
            used = 0
        }
        bytes.append(contentsOf: more)
    }

    mutating func use(_ count: Int) { used += count }
    mutating func removeAll() { (bytes, used) = ([], 0) }
}
