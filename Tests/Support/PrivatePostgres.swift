import FoundationEssentials
import Glibc

/// A PostgreSQL server of a test's own, which may be stopped without an end, and have a standby.
///
/// Uses Debian's packages, with a directory of its own; as root it runs as user `postgres`. A start
/// takes about two seconds.
package final class PrivatePostgres: @unchecked Sendable {
    // @unchecked Sendable: used by the one test that made it.

    /// The superuser's URL, with the database `postgres`.
    package var url: String { "postgresql://postgres@\(address)/postgres" }
    /// Host and port.
    package let address: String
    private let port: UInt16
    private let directory: String
    private var server: ChildProcess?
    private var stopped: [pid_t] = []

    private var data: String { "\(directory)/data" }

    package static func with<Result>(_ body: (PrivatePostgres) async throws -> Result) async throws -> Result {
        let postgres = try PrivatePostgres()
        defer { postgres.remove() }
        try postgres.run("initdb", "-D", postgres.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        try postgres.start()
        return try await body(postgres)
    }

    /// Runs `body` with a server that replicates this one.
    package func withStandby<Result>(_ body: (PrivatePostgres) async throws -> Result) async throws -> Result {
        let standby = try PrivatePostgres()
        defer { standby.remove() }
        try standby.run(
            "pg_basebackup", "-D", standby.data, "-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres", "-R", "-c", "fast", "--no-sync")
        try standby.start()
        return try await body(standby)
    }

    private init() throws {
        var template = Array("\(P_tmpdir)/private-postgres-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw ChildProcess.Failure(description: "mkdtemp: errno \(errno)") }
        directory = String(cString: path)
        port = try freePorts(1)[0]
        address = "127.0.0.1:\(port)"
        if getuid() == 0, let account = getpwnam("postgres") { chown(directory, account.pointee.pw_uid, account.pointee.pw_gid) }
    }

    private func start() throws {
        let settings = ["port=\(port)", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB"]
        server = try spawn("postgres", ["-D", data] + settings.flatMap { ["-c", $0] }, log: "server.log")
        for _ in 0..<600 {
            if try spawn("pg_isready", ["-q", "-h", "127.0.0.1", "-p", "\(port)"], log: "ready.log").wait() == 0 { return }
            poll(nil, 0, 50)
        }
        throw ChildProcess.Failure(description: "postgres does not start: \(end(of: "server.log"))")
    }

    // MARK: Faults

    /// Stops every process of the server. The kernel still accepts connections and bytes; no
    /// process reads them.
    package func freeze() {
        guard let server else { return }
        // The parent first, so that it starts no further child.
        kill(server.id, SIGSTOP)
        stopped = [server.id] + children(of: server.id)
        for process in stopped { kill(process, SIGSTOP) }
    }

    package func thaw() {
        for process in stopped { kill(process, SIGCONT) }
        stopped = []
    }

    /// Makes a standby a server that takes writes.
    package func promote() throws { try run("pg_ctl", "promote", "-D", data, "-w") }

    private func children(of parent: pid_t) -> [pid_t] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { pid_t($0) } ?? []
        return processes.filter { process in
            let status = textOfFile("/proc/\(process)/stat")
            // The name in parentheses may hold spaces; state and parent follow it.
            guard let end = status.lastIndex(of: ")") else { return false }
            return status[end...].split(separator: " ").dropFirst(2).first == "\(parent)"
        }
    }

    // MARK: Processes and files

    private func run(_ program: String, _ arguments: String...) throws {
        guard try spawn(program, arguments, log: "\(program).log").wait() == 0 else {
            throw ChildProcess.Failure(description: "\(program): \(end(of: "\(program).log"))")
        }
    }

    private func spawn(_ program: String, _ arguments: [String], log: String) throws -> ChildProcess {
        let prefix = getuid() == 0 ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : []
        let full = prefix + ["\(try Self.programs())/\(program)"] + arguments
        let environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": directory, "LANG": "C.UTF-8"]
        return try ChildProcess(full[0], Array(full.dropFirst()), environment: environment, output: "\(directory)/\(log)")
    }

    /// The folder of the newest installed version.
    private static func programs() throws -> String {
        let versions = try FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql").compactMap { Int($0) }
        guard let newest = versions.max() else { throw ChildProcess.Failure(description: "PostgreSQL is not installed") }
        return "/usr/lib/postgresql/\(newest)/bin"
    }

    private func end(of log: String) -> Substring { textOfFile("\(directory)/\(log)").suffix(2_000) }

    private func remove() {
        thaw()
        // Without a checkpoint; the parent ends its children.
        server?.signal(SIGQUIT)
        server?.wait()
        _ = try? ChildProcess("/bin/rm", ["-rf", directory], environment: [:], output: "/dev/null").wait()
    }
}
