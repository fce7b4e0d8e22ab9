import EventLoop
import Foundation
import LedgerCore

/// Runs a program to its end and returns its output and errors as one text. Waits on a thread of
/// its own.
///
/// Foundation's `Process` does not fit: its `waitUntilExit` can hang while servers run that the
/// program started. The output goes to a file, because those servers would keep a pipe open.
enum Program {
    static func run(_ arguments: [String], environment: [String: String]) async throws -> (status: Int32, output: String) {
        try await withCheckedThrowingContinuation { continuation in
            spawnThread(name: "program") {
                continuation.resume(
                    with: Result {
                        let output = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
                        defer { try? FileManager.default.removeItem(at: output) }
                        let status = try wait(for: spawn(arguments, environment, output: output.path(percentEncoded: false)))
                        return (status, try String(contentsOf: output, encoding: .utf8))
                    })
            }
        }
    }

    private static func spawn(_ arguments: [String], _ environment: [String: String], output: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The test runner blocks signals. Servers would inherit the mask and miss the signal to
        // stop.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = all.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var id = pid_t()
        let status = posix_spawnp(&id, arguments[0], &actions, &attributes, argv, envp)
        guard status == 0 else { throw SoakError(description: "\(arguments[0]): \(String(cString: strerror(status)))") }
        return id
    }

    private static func wait(for id: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }
}

struct SoakError: Error, CustomStringConvertible {
    var description: String
}
