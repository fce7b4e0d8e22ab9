import Glibc

/// A program run for a test, with pipes for its standard input and output.
///
/// posix_spawn and waitpid rather than Foundation's `Process`, whose `waitUntilExit` can wait for
/// ever next to an event loop.
package final class PipedProcess: @unchecked Sendable {
    // @unchecked Sendable: descriptors and pid are set once; `wait()` and `kill()` are called by one owner.
    package let input: Int32
    package let output: Int32
    private var pid: pid_t = 0

    package init(_ arguments: [String]) throws {
        var (toChild, fromChild): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else { throw CommandFailed(arguments, errno) }
        (input, output) = (toChild[1], fromChild[0])
        for descriptor in toChild + fromChild { setCloseOnExec(descriptor) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var texts: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for text in texts { free(text) } }
        let status = posix_spawnp(&pid, arguments[0], &actions, nil, &texts, environ)
        close(toChild[0])
        close(fromChild[1])
        guard status == 0 else { throw CommandFailed(arguments, status) }
    }

    deinit {
        close(input)
        close(output)
    }

    /// Runs a program to its end; anything but success throws.
    package static func run(_ arguments: [String]) throws {
        let status = try PipedProcess(arguments).wait()
        guard status == 0 else { throw CommandFailed(arguments, status) }
    }

    /// The raw wait status: 0 for success.
    @discardableResult
    package func wait() -> Int32 {
        guard pid > 0 else { return 0 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        pid = 0
        return status
    }

    package func kill() {
        guard pid > 0 else { return }
        Glibc.kill(pid, SIGKILL)
        wait()
    }
}

/// A descriptor that a child inherited would keep its connection open after the test has closed it.
func setCloseOnExec(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }

package struct CommandFailed: Error {
    package let arguments: [String]
    package let status: Int32

    init(_ arguments: [String], _ status: Int32) { (self.arguments, self.status) = (arguments, status) }
}
