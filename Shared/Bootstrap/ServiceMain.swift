import AMQP
import Configuration
import EventLoop
import Glibc
import Lifecycle
import Postgres
import Telemetry

extension Runtime {
    /// The whole of a service's `main`: reads the configuration, calls `wire` on the main loop, runs what it asked for until
    /// SIGTERM, and ends the process.
    ///
    /// `<service> migrate` brings the service's schema up to date instead. A missing or malformed variable is one line on standard
    /// error and exit status 1, whenever `wire` finds it.
    ///
    /// - Parameters:
    ///   - schema: of the service in the database; its name with underscores by default.
    ///   - port: what `HTTP_PORT` is when it is not set.
    package static func main(
        service: String, schema: String? = nil, port: Int, loops: Loops = .one,
        wire: @escaping @Sendable (Runtime) async throws -> Void
    ) -> Never {
        Signals.takeOver()
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.isEmpty || arguments == ["migrate"] else {
            StandardError.line("usage: \(service) [migrate]")
            exit(64)
        }
        let environment = Environment.process()
        let configuration: CommonConfiguration
        do {
            configuration = try CommonConfiguration(environment, service: service, port: port, loops: loops)
        } catch {
            fail(service, error)
        }
        let log = Logger(service: service, level: configuration.logLevel)
        Metrics.shared.addProcessMetrics()
        EventLoop.runMain(name: service) { main in
            let loops = [main] + (1..<max(1, configuration.loops)).map { EventLoop.spawn(name: "\(service)-\($0)") }
            let runtime = Runtime(service: service, environment: environment, configuration: configuration, log: log, loops: loops)
            let result =
                arguments.isEmpty
                ? await runtime.runService(wire)
                : await runtime.migrate(schema: schema ?? String(service.map { $0 == "-" ? "_" : $0 }))
            log.flush()
            exit(result.rawValue)
        }
        preconditionFailure("the main loop ends with the process")
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

    private func migrate(schema: String) async -> ExitStatus {
        do {
            var settings = PostgresPool.Configuration(url: try databaseURL(), applicationName: "\(service) migrate")
            settings.connectionsMax = 1
            let pool = PostgresPool(loop: loop, configuration: settings, log: log)
            let applied = try await Migrator(pool: pool).migrate(directories: configuration.migrationPaths, schema: schema)
            await pool.close()
            log.info("migrated", ["schema": .string(schema), "applied": .string(applied.joined(separator: " "))])
            return .success
        } catch {
            StandardError.line("\(service): \(error)")
            return .failure
        }
    }

    /// The loop may be running: the process is left as it is.
    private static func fail(_ service: String, _ error: ConfigurationError) -> Never {
        StandardError.line("\(service): \(error)")
        _exit(ExitStatus.failure.rawValue)
    }
}
