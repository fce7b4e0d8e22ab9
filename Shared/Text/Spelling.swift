public import Glibc

/// Compares bytes with a name, byte for byte, so that names of fields and members can be the cases
/// of a `switch` without a string for each.
@inlinable @inline(__always)
package func ~= (name: StaticString, bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == name.utf8CodeUnitCount else { return false }
    guard let start = bytes.baseAddress else { return true }
    return memcmp(start, name.utf8Start, bytes.count) == 0
}
