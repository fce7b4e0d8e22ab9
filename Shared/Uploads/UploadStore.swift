import Glibc
import Synchronization

/// The place of all uploads of a process: a folder, and a limit of the bytes of all uploads that
/// live.
package final class UploadStore: Sendable {
    /// The store of the process. Its folder is `TMPDIR`, or `/tmp`. Its limit is 1 GiB.
    package static let standard = UploadStore(folder: getenv("TMPDIR").map { String(cString: $0) } ?? "", bytesMax: 1 << 30)

    private let folder: String
    private let bytesMax: Int
    private let taken = Atomic(0)

    package init(folder: String, bytesMax: Int) {
        self.folder = folder.isEmpty ? "/tmp" : folder
        self.bytesMax = bytesMax
    }

    /// The bytes of all uploads that live, with those that are still being received.
    package var bytes: Int { taken.load(ordering: .relaxed) }

    /// Begins an upload.
    /// - Parameter length: the declared length. A length that does not fit is refused. The bytes take
    ///   room when they come, not before.
    package func begin(length: Int?) throws(UploadError) -> UploadWriter {
        let room = bytesMax - bytes
        guard room > 0, length ?? 0 <= room else { throw .full }
        return UploadWriter(try openUnnamed(), of: self)
    }

    /// Opens a file of mode 0600 and deletes its name. The kernel frees the file with its last use,
    /// also if the process is killed.
    private func openUnnamed() throws(UploadError) -> Int32 {
        var path = Array("\(folder)/upload-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else { throw .failed("mkstemp", errno: errno) }
        unlink(path)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }

    /// - Returns: false if so many bytes are beyond the limit.
    func take(_ count: Int) -> Bool {
        guard taken.add(count, ordering: .relaxed).newValue > bytesMax else { return true }
        give(count)
        return false
    }

    func give(_ count: Int) { taken.subtract(count, ordering: .relaxed) }
}

/// The reason why an upload cannot be stored.
package enum UploadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The uploads that live have all bytes of the store.
    case full
    /// A system call failed, for example because the disk is full.
    case failed(_ call: String, errno: Int32)

    package var description: String {
        switch self {
        case .full: "the uploads that live have all bytes of the store"
        case .failed(let call, let number): "\(call): \(String(cString: strerror(number)))"
        }
    }
}
