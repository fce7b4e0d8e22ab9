import Glibc

enum Cores {
    /// That this process may use (proc(5), `Cpus_allowed`): containers pin with a CPU set.
    static var count: Int {
        let status = String(decoding: Files.read("/proc/self/status") ?? [], as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed:") } ?? ""
        return max(1, line.dropFirst("Cpus_allowed:".count).reduce(0) { $0 + ($1.hexDigitValue ?? 0).nonzeroBitCount })
    }
}

package enum Files {
    /// Reads a file of at most 16 MiB. Nil when it cannot be read. A relative path works where the folders above are closed
    /// to the process; Foundation makes such a path absolute. For start-up only: it blocks.
    package static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 16 << 20 {
            let count = Glibc.read(descriptor, &part, part.count)
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes.append(contentsOf: part[..<count])
        }
        return nil
    }
}

enum StandardError {
    static func line(_ text: String) {
        let bytes = Array((text.filter { !$0.isNewline } + "\n").utf8)
        // The process is ending, so a failure has no reader.
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}
