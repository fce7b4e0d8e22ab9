import AMQP
import Configuration
import EventLoop
import Glibc
import Lifecycle
import Postgres
import Telemetry

extension Runtime {
    /// A command that a service's executable runs instead of serving: `<service> <name> …`.
    package struct Command: Sendable {
        package typealias Body = @Sendable (Runtime, _ arguments: [String]) async throws -> Int32?

        let name: String
        let parameters: String
        let statusOfFailure: Int32
        let body: Body

        /// - Parameters:
        ///   - parameters: as the usage line shows them.
        ///   - statusOfFailure: the exit status when `body` throws, or a variable is missing or malformed.
        ///   - body: gets the arguments behind the name, on the main loop; returns the exit status, nil for arguments that it does
        ///     not understand. What it asks of the runtime is made but not run: a pool opens connections on demand.
        package init(_ name: String, parameters: String = "", statusOfFailure: Int32 = 1, _ body: @escaping Body) {
            (self.name, self.parameters, self.statusOfFailure, self.body) = (name, parameters, statusOfFailure, body)
        }

        fileprivate var usage: String { parameters.isEmpty ? name : "\(name) \(parameters)" }
    }

    /// The whole of a service's `main`: reads the configuration, calls `wire` on the main loop, runs what it asked for until
    /// SIGTERM, and ends the process.
    ///
    /// `<service> migrate` brings the service's schema up to date instead, `<service> <command>` runs one of `commands`; their log lines go to
    /// standard error, but those of `migrate`. SIGTERM ends a command at once with status 143, SIGINT with 130.
    ///
    /// A missing or malformed variable is one line on standard error and exit status 1, whenever `wire` finds it.
    ///
    /// - Parameters:
    ///   - schema: of the service in the database; its name with underscores by default.
    ///   - port: what `HTTP_PORT` is when it is not set.
    package static func main(
        service: String, schema: String? = nil, port: Int, loops: Loops = .one, commands: [Command] = [],
        wire: @escaping @Sendable (Runtime) async throws -> Void
    ) -> Never {
        Signals.takeOver()
        ProcessMemory.hide()
        let schema = schema ?? String(service.map { $0 == "-" ? "_" : $0 })
        let migrate = Command("migrate") { runtime, arguments in arguments.isEmpty ? try await runtime.migrate(schema: schema) : nil }
        let commands = [migrate] + commands
        let arguments = Array(CommandLine.arguments.dropFirst())
        let command = commands.first { $0.name == arguments.first }
        let usage = "usage: \(service) [\(commands.map(\.usage).joined(separator: " | "))]"
        guard arguments.isEmpty || command != nil else { refuse(usage) }
        let environment = Environment.process()
        let configuration: CommonConfiguration
        do {
            configuration = try CommonConfiguration(environment, service: service, port: port, loops: loops)
        } catch {
            fail(service, error, status: command?.statusOfFailure ?? ExitStatus.failure.rawValue)
        }
        // The output of a command is for people, or for the next program.
        let prints = command.map { $0.name != migrate.name } ?? false
        let log = Logger(
            service: service, level: configuration.logLevel, output: prints ? LogOutput(descriptor: STDERR_FILENO) : .standard)
        Metrics.shared.addProcessMetrics()
        EventLoop.runMain(name: service) { main in
            let loops = [main] + (1..<max(1, configuration.loops)).map { EventLoop.spawn(name: "\(service)-\($0)") }
            let runtime = Runtime(service: service, environment: environment, configuration: configuration, log: log, loops: loops)
            let status: Int32?
            if let command {
                // A command has nothing to finish: its transaction ends with its connection.
                let signals = SignalWatch([SIGTERM, SIGINT], on: main) { leave(128 + $0, log) }
                status = await runtime.run(command, Array(arguments.dropFirst()))
                signals.cancel()
            } else {
                status = await runtime.runService(wire).rawValue
            }
            guard let status else { refuse(usage) }
            leave(status, log)
        }
        preconditionFailure("the main loop ends with the process")
    }

    private func run(_ command: Command, _ arguments: [String]) async -> Int32? {
        do {
            return try await command.body(self, arguments)
        } catch {
            StandardError.line("\(service): \(error)")
            return command.statusOfFailure
        }
    }

    private func runService(_ wire: @Sendable (Runtime) async throws -> Void) async -> ExitStatus {
        do {
            if let export = TraceExport.component(
                configuration.traceEndpoint, service: service, instance: Instance.name, log: log, loop: loop)
            {
                add(export)
            }
            try await wire(self)
            let components = try await assemble()
            return await ServiceGroup(loop: loop, components: components, log: log).run()
        } catch let error as ConfigurationError {
            Self.fail(service, error)
        } catch {
            log.error("cannot start", error: error)
            return .failure
        }
    }

    private func migrate(schema: String) async throws -> Int32 {
        var settings = PostgresPool.Configuration(url: try databaseURL(), applicationName: "\(service) migrate")
        settings.connectionsMax = 1
        let pool = PostgresPool(loop: loop, configuration: settings, log: log)
        let applied = try await Migrator(pool: pool).migrate(directories: configuration.migrationPaths, schema: schema)
        await pool.close()
        log.info("migrated", ["schema": .string(schema), "applied": .string(applied.joined(separator: " "))])
        return ExitStatus.success.rawValue
    }

    /// Ends the process without its exit handlers: those of C libraries would free what a thread that
    /// did not stop in time still uses.
    private static func leave(_ status: Int32, _ log: Logger) -> Never {
        log.flush()
        // Commands print through stdio, which `_exit` does not flush.
        fflush(nil)
        _exit(status)
    }

    private static func refuse(_ usage: String) -> Never {
        StandardError.line(usage)
        _exit(64)
    }

    /// The loop may be running: the process is left as it is.
    private static func fail(_ service: String, _ error: ConfigurationError, status: Int32 = ExitStatus.failure.rawValue) -> Never {
        StandardError.line("\(service): \(error)")
        _exit(status)
    }
}
