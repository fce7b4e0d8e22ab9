import EventLoop
import Foundation
import Values

/// The properties of the machine that change the figures.
struct Machine {
    let stack: BenchStack

    init(_ stack: BenchStack) { self.stack = stack }

    func describe() throws {
        let url = try stack.superuserURL(database: "postgres")
        func setting(_ name: String) throws -> String { try query(url, "SHOW \(name)") }
        let load = try String(contentsOfFile: "/proc/loadavg", encoding: .utf8).split(separator: " ")[0]
        let syncs = try Self.syncMilliseconds(in: stack.folder)
        print(
            """
            Machine: \(ProcessInfo.processInfo.activeProcessorCount) cores, load \(load) before the first run; callers, ledger, broker and \
            database share them.
            Postgres \(try setting("server_version")): fsync \(try setting("fsync")), synchronous_commit \
            \(try setting("synchronous_commit")), full_page_writes \(try setting("full_page_writes")), shared_buffers \
            \(try setting("shared_buffers")), max_wal_size \(try setting("max_wal_size")).
            Its disk: 8 KiB appended and synced (fdatasync) in \(rounded(syncs.median * 1_000, 0)) µs, p99 \
            \(rounded(syncs.percentile(99) * 1_000, 0)) µs.
            """)
    }

    /// Measures writes like those of Postgres to its log: into a file that already has its size.
    private static func syncMilliseconds(in folder: String) throws -> [Double] {
        let path = folder + "/sync-\(UUIDv7.make())"
        let descriptor = open(path, O_CREAT | O_RDWR, 0o600)
        guard descriptor >= 0 else { throw BenchError(description: "cannot write in \(folder)") }
        defer {
            close(descriptor)
            unlink(path)
        }
        let page = [UInt8](repeating: 0x5A, count: 8_192)
        let pages = 500
        for index in 0..<pages { _ = pwrite(descriptor, page, page.count, off_t(index * page.count)) }
        fsync(descriptor)
        return (0..<pages).map { index in
            let begun = MonotonicInstant.current()
            _ = pwrite(descriptor, page, page.count, off_t(index * page.count))
            fdatasync(descriptor)
            return (MonotonicInstant.current() - begun).milliseconds
        }
    }
}

/// CPU time of a process and all that it started, from now on; what has ended meanwhile is with the process that waited for it.
struct CPUClock {
    private let pid: Int32
    private let start: Double

    init(tree pid: Int32) throws {
        self.pid = pid
        start = try Self.microseconds(of: pid)
    }

    func microseconds() throws -> Double { try Self.microseconds(of: pid) - start }

    private static func microseconds(of pid: Int32) throws -> Double {
        var sum = Double(try ProcessStats(pid: pid).cpuWithChildren.nanoseconds) / 1_000
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        for task in tasks {
            let children = (try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/children", encoding: .utf8)) ?? ""
            for child in children.split(separator: " ").compactMap({ Int32($0) }) {
                // One that ended since it was listed counts with its parent the next time.
                sum += (try? microseconds(of: child)) ?? 0
            }
        }
        return sum
    }
}

/// The rows of the last of these statements, each in a transaction of its own.
func query(_ url: String, _ statements: String...) throws -> String {
    try execute("/usr/bin/psql", [url, "-XAtq"] + statements.flatMap { ["-c", $0] }).trimmingCharacters(in: .newlines)
}
