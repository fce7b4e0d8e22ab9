import Glibc

/// A RabbitMQ node of a test's own, which may be killed, frozen and starved.
///
/// Uses Debian's rabbitmq-server package, with an epmd and a directory of its own; as root it runs as user `rabbitmq`. The first start
/// takes about five seconds.
package final class PrivateBroker: @unchecked Sendable {
    // @unchecked Sendable: used by the one test that made it.
    package let url: String
    package let api: String
    /// Answers when a certificate was given.
    package let tlsURL: String
    private let directory: String
    private let environment: [String: String]
    private let epmd: ChildProcess
    private var node: ChildProcess?

    private static let programs = "/usr/lib/rabbitmq/bin"

    package static func with<Result>(certificate: TestCertificate? = nil, _ body: (PrivateBroker) async throws -> Result) async throws
        -> Result
    {
        let broker = try PrivateBroker(certificate)
        defer { broker.remove() }
        try broker.start()
        return try await body(broker)
    }

    private init(_ certificate: TestCertificate?) throws {
        var template = Array("\(P_tmpdir)/private-broker-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw ChildProcess.Failure(description: "mkdtemp: errno \(errno)") }
        directory = String(cString: path)
        let ports = try freePorts(5)
        url = "amqp://guest:guest@127.0.0.1:\(ports[0])/"
        tlsURL = "amqps://guest:guest@localhost:\(ports[4])/"
        api = "http://guest:guest@127.0.0.1:\(ports[1])"
        environment = [
            // Makes the start script become the node instead of watching over it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": directory, "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": "\(ports[3])", "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "private\(ports[0])@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": "\(ports[0])", "RABBITMQ_DIST_PORT": "\(ports[2])",
            "RABBITMQ_MNESIA_BASE": "\(directory)/data", "RABBITMQ_LOG_BASE": "\(directory)/log",
            "RABBITMQ_CONFIG_FILE": "\(directory)/rabbitmq", "RABBITMQ_CONF_ENV_FILE": "\(directory)/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(directory)/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        ]
        try write("[rabbitmq_management].", to: "\(directory)/plugins")
        // Node and rabbitmqctl would both make one, and may differ.
        try write(String(UInt64.random(in: .min ... .max), radix: 36), to: "\(directory)/.erlang.cookie")
        chmod("\(directory)/.erlang.cookie", 0o400)
        var settings = ["management.tcp.ip = 127.0.0.1", "management.tcp.port = \(ports[1])"]
        if let certificate {
            // Copied because the node runs as another user.
            try copy(certificate.certificate, to: "\(directory)/certificate.pem")
            try copy(certificate.key, to: "\(directory)/key.pem")
            settings += [
                "listeners.ssl.1 = 127.0.0.1:\(ports[4])", "ssl_options.certfile = \(directory)/certificate.pem",
                "ssl_options.keyfile = \(directory)/key.pem", "ssl_options.cacertfile = \(directory)/certificate.pem",
            ]
        }
        try write(settings.joined(separator: "\n") + "\n", to: "\(directory)/rabbitmq.conf")
        if getuid() == 0, let account = getpwnam("rabbitmq") {
            for file in ["", "/.erlang.cookie", "/plugins", "/rabbitmq.conf", "/certificate.pem", "/key.pem"] {
                chown(directory + file, account.pointee.pw_uid, account.pointee.pw_gid)
            }
        }
        epmd = try ChildProcess(
            "/usr/bin/epmd", ["-port", "\(ports[3])", "-address", "127.0.0.1"], environment: environment, output: "\(directory)/epmd.log")
    }

    // MARK: Faults

    /// Starts the node, the first time or on the data it left, and returns when it takes connections.
    package func start() throws {
        let node = try spawn("rabbitmq-server", [], log: "node.log")
        self.node = node
        try control("wait", "--pid", "\(node.id)", "--timeout", "60")
    }

    /// An orderly stop, after which everything is on disk, and a start.
    package func restart() throws {
        end(SIGTERM)
        try start()
    }

    /// SIGKILL: what was not on disk is gone.
    package func kill() { end(SIGKILL) }

    private func end(_ signal: Int32) {
        node?.signal(signal)
        node?.wait()
        node = nil
    }

    /// The kernel still accepts connections and bytes; the broker does not read them.
    package func freeze() { node?.signal(SIGSTOP) }
    package func thaw() { node?.signal(SIGCONT) }

    /// A memory alarm: publishing connections are blocked.
    package func starve() throws { try control("set_vm_memory_high_watermark", "0.00001") }
    package func feed() throws { try control("set_vm_memory_high_watermark", "0.4") }

    private func control(_ arguments: String...) throws {
        let status = try spawn("rabbitmqctl", arguments, log: "control.log").wait()
        guard status == 0 else {
            throw ChildProcess.Failure(description: "rabbitmqctl \(arguments): \(textOfFile("\(directory)/control.log").suffix(2_000))")
        }
    }

    // MARK: Processes and files

    private func spawn(_ program: String, _ arguments: [String], log: String) throws -> ChildProcess {
        let command = ["\(Self.programs)/\(program)"] + arguments
        let prefix = getuid() == 0 ? ["/usr/bin/setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups"] : []
        let full = prefix + command
        return try ChildProcess(full[0], Array(full.dropFirst()), environment: environment, output: "\(directory)/\(log)")
    }

    private func remove() {
        thaw()
        kill()
        epmd.signal(SIGKILL)
        epmd.wait()
        _ = try? ChildProcess("/bin/rm", ["-rf", directory], environment: [:], output: "/dev/null").wait()
    }

}

private func write(_ text: String, to path: String) throws {
    guard let stream = fopen(path, "w") else { throw ChildProcess.Failure(description: "\(path): errno \(errno)") }
    fputs(text, stream)
    fclose(stream)
}

func textOfFile(_ path: String) -> String {
    guard let stream = fopen(path, "r") else { return "" }
    defer { fclose(stream) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, stream)
    return String(decoding: bytes[..<count], as: UTF8.self)
}

private func copy(_ path: String, to other: String) throws { try write(textOfFile(path), to: other) }

/// Free at this moment.
package func freePorts(_ count: Int) throws -> [UInt16] {
    let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
    defer { for socket in sockets { close(socket) } }
    return try sockets.map { socket in
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) == 0 ? getsockname(socket, address, &length) : -1
            }
        }
        guard status == 0 else { throw ChildProcess.Failure(description: "no free port: errno \(errno)") }
        return UInt16(bigEndian: address.sin_port)
    }
}
