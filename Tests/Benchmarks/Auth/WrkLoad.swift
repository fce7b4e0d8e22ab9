import Foundation
import Synchronization

/// A run of wrk with a script of its own, next to what the benchmark does itself.
final class WrkLoad: Sendable {
    private let process = Process()
    private let output = Pipe()
    private let script: URL
    private let hasEnded = Mutex(false)

    /// The end of a run that the benchmark did not end.
    private static let secondsMax = 3_600

    init(_ url: String, connections: Int, script text: String) throws {
        script = FileManager.default.temporaryDirectory.appending(path: "bench-\(UUID().uuidString).lua")
        try text.write(to: script, atomically: true, encoding: .utf8)
        process.executableURL = URL(filePath: "/usr/bin/wrk")
        process.arguments = ["-t1", "-c\(connections)", "-d\(Self.secondsMax)s", "-s", script.path(percentEncoded: false), url]
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    /// Ends the run.
    /// - Parameter mark: the run first goes on until the script has printed this. Nil ends it at once.
    /// - Returns: the output.
    func end(after mark: String? = nil) async -> String {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { [self] in
                var text = ""
                while let mark, !text.contains(mark) {
                    let data = output.fileHandleForReading.availableData
                    if data.isEmpty { break }
                    text += String(decoding: data, as: UTF8.self)
                }
                hasEnded.withLock { $0 = true }
                process.interrupt()
                text += String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                process.waitUntilExit()
                continuation.resume(returning: text)
            }
        }
    }

    /// True after ``end(after:)`` has seen its mark.
    var isOver: Bool { hasEnded.withLock { $0 } }

    deinit {
        if process.isRunning { process.terminate() }
        try? FileManager.default.removeItem(at: script)
    }
}
