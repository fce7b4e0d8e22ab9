import Glibc

/// The places of CR and LF in some bytes, found front to back. Each byte is looked at once for each
/// of the two.
struct LineEnds {
    private let bytes: UnsafeRawBufferPointer
    /// The place of the next LF, or the end of the bytes.
    private var nextLF = -1

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Returns the place of the first CR or LF from `start` on. Calls must go forwards.
    mutating func next(from start: Int) -> Int? {
        if nextLF < start { nextLF = find(0x0A, start, bytes.count) ?? bytes.count }
        return find(0x0D, start, nextLF) ?? (nextLF < bytes.count ? nextLF : nil)
    }

    private func find(_ byte: Int32, _ start: Int, _ end: Int) -> Int? {
        guard start < end, let base = bytes.baseAddress, let found = memchr(base + start, byte, end - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
