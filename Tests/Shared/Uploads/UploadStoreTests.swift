import Foundation
import TestSupport
import Testing
import Uploads

/// Uploads without a server: bytes, files, limits.
struct UploadStoreTests {
    private let folder = Folder()

    /// A folder of a test's own, so that it sees the files of no other test.
    private final class Folder {
        let path = FileManager.default.temporaryDirectory.appending(path: "uploads-\(UUID())").path(percentEncoded: false)
        init() { try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        /// The files of this folder that the process has open, also those without a name.
        var openFiles: Int {
            let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
            return descriptors.count {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))?.hasPrefix(path) == true
            }
        }

        var mappings: Int {
            guard let file = fopen("/proc/self/maps", "r") else { return -1 }
            defer { fclose(file) }
            var (count, line) = (0, [CChar](repeating: 0, count: 4_096))
            while fgets(&line, Int32(line.count), file) != nil {
                if String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).contains(path) { count += 1 }
            }
            return count
        }
    }

    private func store(_ bytesMax: Int = 1 << 30) -> UploadStore { UploadStore(folder: folder.path, bytesMax: bytesMax) }

    private func append(_ bytes: some Sequence<UInt8>, to writer: UploadWriter) throws {
        try Array(bytes).withUnsafeBytes { try writer.append($0) }
    }

    @Test func `pieces of all lengths give the same bytes`() throws {
        var random = SplitMix64(seed: drawSeed())
        let store = store()
        for _ in 0..<50 {
            let bytes = (0..<Int.random(in: 0...200_000, using: &random)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let writer = try store.begin(length: Bool.random(using: &random) ? bytes.count : nil)
            var rest = bytes[...]
            while !rest.isEmpty {
                let most = [3, 5_000, 70_000].randomElement(using: &random)!
                let piece = rest.prefix(Int.random(in: 1...most, using: &random))
                try append(piece, to: writer)
                rest = rest.dropFirst(piece.count)
            }
            let upload = try writer.finish()
            #expect(upload.count == bytes.count)
            #expect(upload.withUnsafeBytes { $0.elementsEqual(bytes) })
        }
        #expect(store.bytes == 0)
    }

    @Test func `the file has no name, belongs to its user only, and ends with its last reference`() throws {
        let store = store()
        var writer: UploadWriter? = try store.begin(length: nil)
        #expect(folder.openFiles == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
        let link = try #require(
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").map { "/proc/self/fd/\($0)" }.first {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: $0))?.hasPrefix(folder.path) == true
            })
        var status = stat()
        #expect(stat(link, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        try append(repeatElement(7, count: 100_000), to: #require(writer))
        #expect(store.bytes == 100_000)
        var upload: Upload? = try writer?.finish()
        writer = nil
        #expect((folder.openFiles, folder.mappings, store.bytes) == (0, 1, 100_000))
        #expect(upload?.count == 100_000)
        upload = nil
        #expect((folder.openFiles, folder.mappings, store.bytes) == (0, 0, 0))
    }

    @Test func `an upload that is not finished gives its room back`() throws {
        let store = store()
        var writer: UploadWriter? = try store.begin(length: nil)
        try append(repeatElement(7, count: 100_000), to: #require(writer))
        writer = nil
        #expect((folder.openFiles, store.bytes) == (0, 0))
    }

    @Test func `the store has room for its limit and no byte more`() throws {
        let store = store(1_000)
        #expect(throws: UploadError.full) { try store.begin(length: 1_001) }
        let first = try store.begin(length: 1_000)
        try append(repeatElement(1, count: 900), to: first)
        #expect(throws: UploadError.full) { try store.begin(length: 101) }
        let second = try store.begin(length: nil)
        try append(repeatElement(2, count: 100), to: second)
        #expect(throws: UploadError.full) { try append([3], to: second) }
        #expect(throws: UploadError.full) { try store.begin(length: nil) }
        #expect(store.bytes == 1_000)
        #expect(try second.finish().withUnsafeBytes { $0.elementsEqual(repeatElement(2, count: 100)) })
        #expect(store.bytes == 900)
        withExtendedLifetime(first) {}
    }

    @Test func `an empty upload has no bytes`() throws {
        let upload = try store().begin(length: 0).finish()
        #expect(upload.count == 0)
        #expect(upload.withUnsafeBytes { $0.isEmpty })
    }

    @Test func `a folder that does not exist is an error`() throws {
        let store = UploadStore(folder: folder.path + "/none", bytesMax: 10)
        #expect(throws: UploadError.failed("mkstemp", errno: ENOENT)) { try store.begin(length: nil) }
    }
}
