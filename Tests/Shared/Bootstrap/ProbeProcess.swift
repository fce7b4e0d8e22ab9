import Glibc
import JSON
import TestSupport
import Testing

/// A service in a process of its own. Whatever waits here gives up after ten seconds.
final class ProbeProcess {
    private let pid: pid_t
    private let output: Int32
    private let errors: Int32
    private var unread: [UInt8] = []
    private var exitStatus: Int32?

    init(_ environment: [String: String], arguments: [String] = []) throws {
        var outputEnds: [Int32] = [0, 0]
        var errorEnds: [Int32] = [0, 0]
        try #require(pipe(&outputEnds) == 0 && pipe(&errorEnds) == 0)
        // A service started later must not keep these open: the end of the output is the end of this one.
        for end in outputEnds + errorEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (output, errors) = (outputEnds[0], errorEnds[0])

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, outputEnds[1], STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errorEnds[1], STDERR_FILENO)
        defer { posix_spawn_file_actions_destroy(&actions) }

        let program = try ChildProcess.built("bootstrap-probe")
        var argumentPointers = ([program] + arguments).map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var spawned: pid_t = 0
        let status = posix_spawn(&spawned, program, &actions, nil, &argumentPointers, &environmentPointers)
        try #require(status == 0)
        pid = spawned
        close(outputEnds[1])
        close(errorEnds[1])
    }

    deinit {
        if exitStatus == nil {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        close(output)
        close(errors)
    }

    func signal(_ signal: Int32) { kill(pid, signal) }

    /// The next log line with that message; lines before it are dropped. Nil at the end of the output.
    func log(_ message: String) throws -> JSONObject? {
        while let line = try nextLine() {
            let object = try JSONObject(Array(line.utf8))
            if try object.string("message") == message { return object }
        }
        return nil
    }

    /// The health port, once it is open.
    func healthPort() throws -> Int64 {
        let line = try log("health port opened")
        return try #require(line).integer("port")
    }

    /// The serving port, once the service listens on it.
    func port() throws -> Int64 {
        let line = try log("listening")
        return try #require(line).integer("port")
    }

    func nextLine() throws -> String? {
        while true {
            if let end = unread.firstIndex(of: 0x0A) {
                defer { unread.removeFirst(end + 1) }
                return String(decoding: unread[..<end], as: UTF8.self)
            }
            guard let part = try read(output) else { return nil }
            unread += part
        }
    }

    /// All of standard error, and the exit status; the process is not asked to leave.
    func end() throws -> (status: Int32, errors: String) {
        while try nextLine() != nil {}
        var text: [UInt8] = []
        while let part = try read(errors) { text += part }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        let code = status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
        exitStatus = code
        return (code, String(decoding: text, as: UTF8.self))
    }

    private func read(_ descriptor: Int32) throws -> [UInt8]? {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&watched, 1, 10_000) == 1, "the service says nothing")
        var part = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(descriptor, &part, part.count)
        return count > 0 ? Array(part[..<count]) : nil
    }
}
