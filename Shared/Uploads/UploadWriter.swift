import Glibc

/// An upload that is being received. Confined to its owner's loop. The file is closed with the
/// writer.
///
/// A write waits for the page cache, not for the disk. The kernel slows a writer down if too much of
/// the page cache waits for the disk. The limit of the store stays below that on a machine with 8 GiB.
package final class UploadWriter {
    private let descriptor: Int32
    private let store: UploadStore
    private var count = 0
    /// Short pieces that are not written yet. The chunks of a body may have one byte each, and would
    /// cost a system call each.
    private var short: [UInt8] = []

    private static let shortPieceMax = 4 << 10
    private static let shortBytesMax = 16 << 10

    init(_ descriptor: Int32, of store: UploadStore) { (self.descriptor, self.store) = (descriptor, store) }

    deinit {
        close(descriptor)
        store.give(count)
    }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(UploadError) {
        guard store.take(bytes.count) else { throw .full }
        count += bytes.count
        if bytes.count <= Self.shortPieceMax, short.count + bytes.count <= Self.shortBytesMax {
            short.append(contentsOf: bytes)
        } else {
            try writeShort()
            try write(bytes)
        }
    }

    private func writeShort() throws(UploadError) {
        guard !short.isEmpty else { return }
        try short.withUnsafeBytes { bytes in Result { () throws(UploadError) in try write(bytes) } }.get()
        short.removeAll(keepingCapacity: true)
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(UploadError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw .failed("write", errno: written < 0 ? errno : ENOSPC) }
            rest = rest.dropFirst(written)
        }
    }

    /// Ends the upload. The writer must not be used again.
    package func finish() throws(UploadError) -> Upload {
        try writeShort()
        let upload = try Upload(mapping: descriptor, count: count, of: store)
        count = 0
        return upload
    }
}
