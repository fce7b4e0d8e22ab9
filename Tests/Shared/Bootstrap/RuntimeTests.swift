import EventLoop
import Glibc
import HTTPClient
import JSON
import Postgres
import Synchronization
import TestSupport
import Testing

private let loop = EventLoop.spawn(name: "bootstrap-tests")

/// One test after the other: they wait for a process on threads that other tests share.
@Suite(.serialized)
struct RuntimeTests {
    private let client = HTTPClient(loop: loop)

    private func get(_ port: Int64, _ path: String) async throws -> ClientResponse {
        try await client.request(ClientRequest("GET", "http://127.0.0.1:\(port)\(path)"))
    }

    /// Waits until the port refuses connections, for at most ten seconds.
    private func isRefused(_ port: Int64) async throws -> Bool {
        let client = client
        return try await Task(executorPreference: loop) {
            let end = MonotonicInstant.current() + .seconds(10)
            while MonotonicInstant.current() < end {
                do {
                    _ = try await client.request(ClientRequest("GET", "http://127.0.0.1:\(port)/livez"))
                } catch let error as ClientError {
                    // A connection that waited in the backlog is reset when the port closes.
                    if error.code == .connectFailed { return true }
                }
                try await loop.sleep(for: .milliseconds(10))
            }
            return false
        }.value
    }

    /// Asks until the answer has that status, for at most ten seconds.
    private func answer(_ status: Int, _ port: Int64, _ path: String) async throws -> ClientResponse {
        let client = client
        return try await Task(executorPreference: loop) {
            let end = MonotonicInstant.current() + .seconds(60)
            while true {
                let answer = try await client.request(ClientRequest("GET", "http://127.0.0.1:\(port)\(path)"))
                if answer.status == status || MonotonicInstant.current() > end { return answer }
                try await loop.sleep(for: .milliseconds(10))
            }
        }.value
    }

    @Test(
        arguments: [
            (["PROBE_DATABASE": "1"], "probe: DATABASE_URL is not set\n"),
            (["PROBE_BROKER": "1"], "probe: AMQP_URL (or AMQP_URL_FILE) is not set\n"),
            (["HTTP_PORT": "http"], "probe: HTTP_PORT is malformed 'http': expected a whole number from 0 to 65535\n"),
            (
                ["PROBE_DATABASE": "1", "DATABASE_URL": "postgresql://u:hunter2@h:port/x"],
                "probe: DATABASE_URL is malformed: expected a URL such as postgresql://host:port/path or postgres://host:port/path\n"
            ),
            (
                ["HTTP_PORT": "8000", "HEALTH_PORT": "8000"],
                "probe: HEALTH_PORT is malformed '8000': expected another port than that of HTTP_PORT\n"
            ),
            (
                ["TRUSTED_PROXIES": "10.0.0.0/8, 10.0.0.1/8"],
                "probe: TRUSTED_PROXIES is malformed '10.0.0.1/8': expected networks like 10.0.0.0/8 or fd00::/8, separated by commas, "
                    + "or none\n"
            ),
            (["LOG_LEVEL": "loud"], "probe: LOG_LEVEL is malformed 'loud': expected one of debug, info, warning, error\n"),
        ]) func `a missing or malformed variable is one line, and the process fails`(_ environment: [String: String], _ line: String) throws
    {
        let probe = try ProbeProcess(environment)
        let (status, errors) = try probe.end()
        #expect(status == 1 && errors == line)
    }

    @Test func `a malformed broker address does not show its password`() throws {
        let probe = try ProbeProcess(["PROBE_BROKER": "1", "AMQP_URL": "http://u:hunter2@h/"])
        let (status, errors) = try probe.end()
        #expect(status == 1 && errors.hasPrefix("probe: AMQP_URL is malformed") && !errors.contains("hunter2"))
        #expect(errors.split(separator: "\n").count == 1)
    }

    @Test func `an unknown argument is refused`() throws {
        let usage = "usage: probe [migrate | fail WITH STATUS | wait]\n"
        for arguments in [["migrat"], ["migrate", "now"], ["fail"], ["fail", "with", "grace"]] {
            #expect(try ProbeProcess([:], arguments: arguments).end() == (64, usage), "\(arguments)")
        }
    }

    @Test func `a command prints to standard output, logs to standard error, and returns its status`() throws {
        let probe = try ProbeProcess([:], arguments: ["fail", "with", "7"])
        #expect(try probe.nextLine() == "failing")
        let (status, errors) = try probe.end()
        #expect(status == 7 && errors.contains(#""message":"failing as told""#))
        #expect(try ProbeProcess([:], arguments: ["fail", "with", "0"]).end().status == 2)
        #expect(try ProbeProcess(["LOG_LEVEL": "loud"], arguments: ["fail", "with", "7"]).end().status == 2)
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `a command ends at the first signal`(signal: Int32) throws {
        let probe = try ProbeProcess([:], arguments: ["wait"])
        #expect(try probe.nextLine() == "waiting")
        probe.signal(signal)
        #expect(try probe.end() == (128 + signal, ""))
    }

    @Test func `a service without dependencies is ready, and answers on the health port`() async throws {
        let probe = try ProbeProcess(["LOOPS": "1"])
        let health = try probe.healthPort()
        let port = try probe.port()
        for port in [health, port] { #expect(try await get(port, "/livez").status == 200) }
        #expect(try await answer(200, health, "/readyz").text == #"{"status":"ready","dependencies":{}}"#)
        let metrics = try await get(health, "/metrics").text
        #expect(metrics.contains("process_resident_memory_bytes") && metrics.contains("# TYPE"))
        for path in ["/readyz", "/metrics", "/openapi.json"] { #expect(try await get(port, path).status == 404, "\(path)") }
        probe.signal(SIGINT)
        #expect(try probe.end() == (0, ""))
    }

    @Test func `each loop has a router and a server of its own`() async throws {
        let probe = try ProbeProcess(["LOOPS": "3"])
        let port = try probe.port()
        var seen: Set<String> = []
        // The kernel spreads connections over the listeners: a client of its own each makes a new connection.
        for _ in 0..<200 where seen.count < 3 {
            let answer = try await HTTPClient(loop: loop).request(ClientRequest("GET", "http://127.0.0.1:\(port)/loop"))
            seen.insert(String(decoding: answer.body, as: UTF8.self))
        }
        #expect(seen == ["probe", "probe-1", "probe-2"])
        probe.signal(SIGTERM)
        #expect(try probe.end() == (0, ""))
    }

    @Test func `the health port answers while the serving loop is blocked, and reports it as stuck`() async throws {
        let folder = try temporaryFolder()
        defer { removeFolder(folder) }
        try #require(mkfifo(folder + "/pipe", 0o600) == 0)
        let probe = try ProbeProcess(["LOOPS": "1", "PROBE_FOLDER": folder])
        let health = try probe.healthPort()
        let port = try probe.port()
        async let blocked = get(port, "/block")
        _ = try probe.log("blocking the loop")
        #expect(try await get(health, "/metrics").status == 200)
        #expect(try await answer(503, health, "/readyz").text == #"{"status":"stuck","dependencies":{}}"#)
        // Waits for the reader, so the loop was blocked until here.
        close(open(folder + "/pipe", O_WRONLY))
        #expect(try await blocked.text == "unblocked")
        #expect(try await answer(200, health, "/readyz").status == 200)
        probe.signal(SIGTERM)
        #expect(try probe.end() == (0, ""))
    }

    @Test func `the serving port stays closed while database and broker are unavailable, and opens when they are up`() async throws {
        let api = try ManagementAPI(String(cString: try #require(getenv("TEST_RABBITMQ_API"))))
        let name = "probe_\(UInt64.random(in: .min ... .max))"
        let server = String(cString: try #require(getenv("TEST_POSTGRES_URL")))
        let amqp = String(cString: try #require(getenv("TEST_AMQP_URL")))
        let port = Int64(try freePorts(1)[0])
        let probe = try ProbeProcess([
            "PROBE_DATABASE": "1", "PROBE_BROKER": "1", "LOOPS": "1", "DATABASE_URL": server.replacingLastPart(with: name),
            "AMQP_URL": amqp.replacingLastPart(with: name), "HTTP_PORT": "\(port)",
        ])
        let health = try probe.healthPort()
        #expect(try probe.log("waiting for dependency")?.string("dependency") == "database")
        #expect(try probe.log("waiting for dependency")?.string("dependency") == "broker:publish")
        #expect(try await get(health, "/livez").status == 200)
        #expect(try await get(health, "/metrics").status == 200)
        let waiting = try await get(health, "/readyz")
        #expect(waiting.status == 503)
        #expect(waiting.text == #"{"status":"waiting","dependencies":{"database":"down","broker:publish":"down"}}"#)
        #expect(try await isRefused(port))

        try await administer(server, "CREATE DATABASE \(name)")
        try api.call("PUT", "/vhosts/\(name)")
        try api.call("PUT", "/permissions/\(name)/admin", body: #"{"configure":".*","write":".*","read":".*"}"#)
        #expect(try await answer(200, health, "/readyz").status == 200)
        #expect(try await get(port, "/livez").status == 200)
        #expect(try probe.log("ready") != nil)

        try api.call("DELETE", "/vhosts/\(name)")
        #expect(
            try await answer(503, health, "/readyz").text
                == #"{"status":"waiting","dependencies":{"database":"up","broker:publish":"down"}}"#)
        #expect(try probe.log("dependency down")?.string("dependency") == "broker:publish")
        #expect(try await get(port, "/livez").status == 200, "the serving port stays open")
        probe.signal(SIGTERM)
        #expect(try probe.end() == (0, ""))
        try await administer(server, "DROP DATABASE \(name) WITH (FORCE)")
    }

    @Test func `the serving port closes first after SIGTERM, and a running request ends before the process does`() async throws {
        let folder = try temporaryFolder()
        defer { removeFolder(folder) }
        let probe = try ProbeProcess(["LOOPS": "1", "PROBE_FOLDER": folder])
        let health = try probe.healthPort()
        let port = try probe.port()
        _ = try await answer(200, health, "/readyz")
        async let slow = get(port, "/until-released")
        _ = try probe.log("waiting for the file")
        probe.signal(SIGTERM)
        #expect(try await isRefused(port))
        #expect(try await get(health, "/readyz").text == #"{"status":"draining","dependencies":{}}"#)
        #expect(try await get(health, "/livez").status == 200)
        close(open(folder + "/released", O_WRONLY | O_CREAT, 0o600))
        #expect(try await slow.text == "released")
        #expect(try probe.end() == (0, ""))
    }

    @Test func `with SHUTDOWN_DELAY the serving port stays open while the health port is not ready`() async throws {
        let probe = try ProbeProcess(["LOOPS": "1", "SHUTDOWN_DELAY": "300ms"])
        let health = try probe.healthPort()
        let port = try probe.port()
        _ = try await answer(200, health, "/readyz")
        async let slow = get(port, "/until-draining")
        _ = try probe.log("waiting for the drain")
        probe.signal(SIGTERM)
        #expect(try await answer(503, health, "/readyz").text == #"{"status":"draining","dependencies":{}}"#)
        #expect(try await slow.body == Array("finished".utf8))
        #expect(try probe.end() == (0, ""))
    }

    @Test func `a second signal ends the process at once`() async throws {
        let probe = try ProbeProcess(["LOOPS": "1", "SHUTDOWN_DELAY": "60s"])
        _ = try probe.port()
        probe.signal(SIGTERM)
        _ = try probe.log("stopping")
        probe.signal(SIGTERM)
        #expect(try probe.end() == (128 + SIGTERM, ""))
    }

    /// The exit handlers of OpenSSL and libpq free what a thread that did not stop in time still uses.
    @Test func `the process ends without the exit handlers of C libraries`() async throws {
        let probe = try ProbeProcess(["LOOPS": "1", "PROBE_EXIT_HANDLER": "1"])
        _ = try probe.port()
        probe.signal(SIGTERM)
        #expect(try probe.end() == (0, ""))
    }

    @Test func `a port that is taken is one error that names its variable, and a failure`() throws {
        let first = try ProbeProcess(["LOOPS": "1"])
        let (health, port) = (try first.healthPort(), try first.port())
        for (variable, taken, message) in [
            ("HEALTH_PORT", health, "component failed to start"), ("HTTP_PORT", port, "component ended by itself: stopping"),
        ] {
            let second = try ProbeProcess(["LOOPS": "1", variable: "\(taken)"])
            let error = try #require(try second.log(message)).string("error")
            #expect(error.contains("cannot listen on 127.0.0.1:\(taken) (bind: Address already in use): set \(variable)"), "\(error)")
            #expect(try second.end().status == 1)
        }
    }

    @Test func `spans reach the collector that is configured, without the path of a request`() async throws {
        let collected = Promise<String>(on: loop)
        let collector = ScriptedServer { peer in
            collected.succeed(peer.request() ?? "")
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        }
        let probe = try ProbeProcess(["LOOPS": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(collector.port)/"])
        let port = try probe.port()
        for path in ["/loop", "/ssk_in-the-place-of-an-id"] { _ = try await get(port, path) }
        probe.signal(SIGTERM)
        #expect(try probe.end().status == 0)
        let request = try await Task(executorPreference: loop) { try await collected.value(within: .seconds(10), elseReturn: "") }.value
        #expect(request.contains(#""name":"GET /loop","kind":2"#))
        #expect(request.contains(#""name":"GET (none)","kind":2"#) && !request.contains("ssk_"))
        #expect(request.hasPrefix("POST /v1/traces HTTP/1.1") && request.contains(#""service.name","value":{"stringValue":"probe"}"#))
    }

    @Test func `migrate brings the schema up to date, and logs the applied files`() async throws {
        let database = try await TestDatabase.create(schema: "probe", migrations: [])
        let environment = [
            "DATABASE_URL": database.url, "OUTBOX_MIGRATIONS_PATH": TestDatabase.packageRoot + "/Shared/Outbox/Migrations",
            "MIGRATIONS_PATH": TestDatabase.packageRoot + "/Tests/Shared/Bootstrap/Migrations",
        ]
        let first = try ProbeProcess(environment, arguments: ["migrate"])
        let line = try first.log("migrated")
        #expect(try line?.string("schema") == "probe" && line?.string("applied").hasSuffix("0100_probe.sql") == true)
        #expect(try first.end() == (0, ""))
        let second = try ProbeProcess(environment, arguments: ["migrate"])
        #expect(try second.log("migrated")?.string("applied") == "")
        #expect(try second.end() == (0, ""))
        try await database.drop()

        let away = try ProbeProcess(environment, arguments: ["migrate"]).end()
        #expect(away.status == 1 && away.errors.hasPrefix("probe: ") && away.errors.split(separator: "\n").count == 1)
    }

    private func administer(_ server: String, _ statement: String) async throws {
        try await TestDatabase.withPool(PostgresPool.Configuration(url: server, applicationName: "test")) { pool in
            try await pool.withConnection { try await $0.script(statement) }
        }
    }
}

private func temporaryFolder() throws -> String {
    var template = Array("\(P_tmpdir)/probe-XXXXXX".utf8CString)
    return String(cString: try #require(mkdtemp(&template)))
}

private func removeFolder(_ folder: String) {
    for name in ["/pipe", "/released"] { unlink(folder + name) }
    rmdir(folder)
}

extension String {
    fileprivate func replacingLastPart(with name: String) -> String { self[...(lastIndex(of: "/") ?? startIndex)] + name }
}

extension ClientResponse {
    fileprivate var text: String { String(decoding: body, as: UTF8.self) }
}
