import Glibc
package import Telemetry

/// The lines that a logger wrote.
package struct PipedLines {
    package let log: Logger
    private let ends: [Int32]

    package init() {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0)
        self.ends = ends
        log = Logger(service: "test", output: LogOutput(descriptor: ends[1]))
    }

    package func lines() throws -> [Substring] {
        log.flush()
        close(ends[1])
        defer { close(ends[0]) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = read(ends[0], &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
    }
}
