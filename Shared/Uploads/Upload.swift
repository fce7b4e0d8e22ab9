import Glibc

/// A received body in a file without a name, mapped into memory for reading. The last reference
/// unmaps it, which frees the file and its place in the store.
///
/// A large body is not held in an array, but it is held until the call has ended:
/// - A client may send the file before the members that decide about the call. openai-node sends
///   `file` before `model`.
/// - A call is refused before a byte of it goes to a provider.
/// - A second provider needs the body again.
///
/// Reading can wait for the disk if the kernel has taken pages back. The file has no holes, and no
/// other process can shorten it, so a read finds every byte.
package final class Upload: Sendable {
    package let count: Int
    /// Nil if the upload has no bytes.
    // Read-only memory that stays mapped until `deinit`.
    private nonisolated(unsafe) let start: UnsafeMutableRawPointer?
    private let store: UploadStore

    init(mapping descriptor: Int32, count: Int, of store: UploadStore) throws(UploadError) {
        var start: UnsafeMutableRawPointer?
        if count > 0 {
            start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
            guard start != MAP_FAILED else { throw .failed("mmap", errno: errno) }
        }
        (self.start, self.count, self.store) = (start, count, store)
    }

    deinit {
        if let start { munmap(start, count) }
        store.give(count)
    }

    /// Calls `body` with the bytes, which are valid until it returns.
    package func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: start, count: count))
    }
}
