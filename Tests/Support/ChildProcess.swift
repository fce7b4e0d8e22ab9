import EventLoop
import Foundation
package import Glibc

/// A program a test runs, in a process group of its own, so that signals reach what it started too.
package final class ChildProcess: Sendable {
    package let id: pid_t

    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    /// - Parameters:
    ///   - environment: all of it; nothing is inherited.
    ///   - output: path of a file that gets stdout and stderr.
    package init(_ program: String, _ arguments: [String], environment: [String: String], output: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test runner blocks signals, and a child inherits the mask: a server would not receive
        // the signal to stop.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        let argv = ([program] + arguments).map { strdup($0) } + [nil]
        let envp = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var id = pid_t()
        let status = posix_spawn(&id, program, &actions, &attributes, argv, envp)
        guard status == 0 else { throw Failure(description: "\(program): \(String(cString: strerror(status)))") }
        self.id = id
    }

    /// Returns the path of an executable of this package, which was built with the tests.
    package static func built(_ name: String) throws -> String {
        guard let bundle = CommandLine.arguments.first(where: { $0.contains(".xctest") }) else {
            throw Failure(description: "no test bundle is in the arguments \(CommandLine.arguments)")
        }
        let folder = bundle.split(separator: "/", omittingEmptySubsequences: false).prefix { !$0.contains(".xctest") }
        return folder.joined(separator: "/") + "/" + name
    }

    package func signal(_ number: Int32) { kill(-id, number) }

    /// Waits for the program's end (of itself or by a signal sent before).
    @discardableResult
    package func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status
    }

    /// Runs a program to its end, waiting on a thread of its own.
    /// - Parameter environment: added to this process's own, unless `clearingEnvironment`.
    /// - Returns: output and errors together.
    package static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], clearingEnvironment: Bool = false
    ) async throws -> (status: Int32, output: String) {
        try await withCheckedThrowingContinuation { continuation in
            spawnThread(name: "process") {
                continuation.resume(
                    with: Result {
                        // A file, not a pipe: servers that the program starts inherit it, and a pipe would stay open with them.
                        let log = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
                        defer { try? FileManager.default.removeItem(at: log) }
                        let inherited = clearingEnvironment ? [:] : ProcessInfo.processInfo.environment
                        let child = try ChildProcess(
                            program, arguments, environment: inherited.merging(environment) { $1 }, output: log.path(percentEncoded: false))
                        let status = child.wait()
                        return (status >> 8 & 0xFF, try String(contentsOf: log, encoding: .utf8))
                    })
            }
        }
    }
}
