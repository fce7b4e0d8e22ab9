package import AMQP
package import Configuration
import Contracts
package import EventLoop
package import HTTP
package import Identity
package import Jobs
package import Lifecycle
package import Outbox
package import Postgres
import Synchronization
package import Telemetry

/// The parts that a service is built from: its configuration, log and loops, and the long-lived things it asks for here.
///
/// Things start in the order they are asked for and stop in reverse, so a service asks for what others lean on first: database,
/// publisher, outbox relay, consumers. The health port opens first and closes last. The serving port opens when all
/// dependencies are there, and closes first.
package final class Runtime: Sendable {
    package enum Loops: Sendable {
        case one
        /// `LOOPS` loops, by default one a core.
        case perCore
    }

    /// `llm-proxy`: names the program, its log lines, its connections.
    package let service: String
    package let environment: Environment
    package let configuration: CommonConfiguration
    package let log: Logger
    /// All loops that serve HTTP. The first is the main loop.
    package let loops: [EventLoop]
    package let readiness: Readiness

    private struct Wiring {
        var components: [Component] = []
        var makeRouter: (@Sendable (LoopContext) async throws -> Router)?
    }

    private let wiring = Mutex(Wiring())

    init(service: String, environment: Environment, configuration: CommonConfiguration, log: Logger, loops: [EventLoop]) {
        self.service = service
        self.environment = environment
        self.configuration = configuration
        self.log = log
        self.loops = loops
        readiness = Readiness(loops: loops, log: log)
    }

    /// Where the wiring, the signals and everything that is not per loop run.
    package var loop: EventLoop { loops[0] }

    // MARK: Parts

    /// Adds something long-lived of the service's own.
    package func add(_ component: Component) { wiring.withLock { $0.components.append(component) } }

    /// Adds background work that repeats, on `loop`, by default the main one.
    package func add(_ job: Job, on loop: EventLoop? = nil) {
        let loop = loop ?? self.loop
        add(Component("job:\(job.name)", on: loop, run: { [log] in try await job.run(on: loop, log: log) }))
    }

    /// Makes `/readyz` depend on `check`, which runs on `loop` (the main one by default), soon and often.
    package func require(_ name: String, on loop: EventLoop? = nil, _ check: @escaping Readiness.Check) {
        readiness.require(name, on: loop ?? self.loop, check)
    }

    /// A pool on `loop`, by default the main one; `DATABASE_URL`.
    package func database(
        connectionsMax: Int = 8, statementTimeout: Duration? = nil, on loop: EventLoop? = nil, name: String = "database"
    ) throws(ConfigurationError) -> PostgresPool {
        let loop = loop ?? self.loop
        var settings = PostgresPool.Configuration(url: try databaseURL(), applicationName: service)
        settings.connectionsMax = connectionsMax
        if let statementTimeout { settings.statementTimeout = statementTimeout }
        let pool = PostgresPool(loop: loop, configuration: settings, log: log)
        add(
            Component(name, on: loop, stopWithin: .seconds(6)) {
            } run: {
                try await pool.run()
            } stop: {
                await pool.close()
            })
        require(name, on: loop) { pool.isReady }
        return pool
    }

    func databaseURL() throws(ConfigurationError) -> String {
        try environment.url("DATABASE_URL", schemes: ["postgresql", "postgres"]).reveal()
    }

    /// How to reach the broker, for a connection named `<service>:<role>`; `AMQP_URL`.
    package func broker(_ role: String) throws(ConfigurationError) -> AMQPConfiguration {
        let url = try environment.secret("AMQP_URL").reveal()
        do {
            var configuration = try AMQPConfiguration(url: url, connectionName: "\(service):\(role)")
            configuration.appID = service
            return configuration
        } catch {
            throw .malformed("AMQP_URL", found: nil, expected: "amqp://user:password@host:port/vhost (\(error))")
        }
    }

    package func publisher(_ role: String = "publish") throws(ConfigurationError) -> AMQPPublisher {
        let publisher = AMQPPublisher(try broker(role), log: log)
        addBroker(role, run: { await publisher.run() }, stop: { await publisher.stop() }, isConnected: { publisher.isConnected })
        return publisher
    }

    /// - Parameter answerer: the service whose answers are accepted.
    package func rpcClient(_ role: String, answeredBy answerer: String) throws(ConfigurationError) -> RPCClient {
        let client = RPCClient(
            try broker(role), service: service, repliesThrough: Topology.rpcReply.name, answeredBy: answerer, log: log)
        addBroker(role, run: { await client.run() }, stop: { await client.stop() }, isConnected: { client.isConnected })
        return client
    }

    package func consumer(
        _ role: String, from source: AMQPConsumer.Source, prefetch: Int, onConnected: @escaping @Sendable () -> Void = {}
    ) throws(ConfigurationError) -> AMQPConsumer {
        let consumer = AMQPConsumer(try broker(role), source: source, prefetch: prefetch, log: log, onConnected: onConnected)
        addBroker(role, run: { await consumer.run() }, stop: { await consumer.stop() }, isConnected: { consumer.isConnected })
        return consumer
    }

    /// Sends what the service's transactions put into the outbox. At the stop, what is due goes out once more.
    package func outbox(_ pool: PostgresPool, _ publisher: AMQPPublisher) {
        let relay = OutboxRelay(pool: pool, publisher: publisher, log: log)
        add(Component("outbox", on: pool.loop, run: { try await relay.run() }, stop: { await relay.stop() }))
    }

    /// Handles messages, each in a transaction of `pool`. Asked for after everything that handlers use.
    @discardableResult
    package func subscribe(
        _ subscriptions: [Subscription], in pool: PostgresPool, configuration: SubscriptionRunner.Configuration = .init()
    ) throws(ConfigurationError) -> SubscriptionRunner {
        let runner = SubscriptionRunner(
            pool: pool, amqp: try broker("events"), subscriptions: subscriptions, configuration: configuration, log: log)
        add(
            Component(
                "subscriptions", on: pool.loop, stopWithin: .seconds(12), run: { try await runner.run() }, stop: { await runner.stop() }))
        require("subscriptions", on: pool.loop) { runner.isReady }
        return runner
    }

    private func addBroker(
        _ role: String, run: @escaping Component.Step, stop: @escaping Component.Step, isConnected: @escaping Readiness.Check
    ) {
        add(Component("broker:\(role)", stopWithin: .seconds(12), run: { await run() }, stop: stop))
        require("broker:\(role)", isConnected)
    }

    // MARK: Identity

    /// Checks the credentials of requests, with the tokens of ``ServiceTokens``. The service is
    /// ready once it has auth's keys and gets its revocations.
    /// - Parameter source: auth's own; by default auth is asked over the broker.
    package func authenticator(source: (any IdentitySource)? = nil) throws(ConfigurationError) -> Authenticator {
        let serviceTokens = try ServiceTokens(environment)
        let revocations = try broker("revocations")
        let asked: any IdentitySource
        if let source { asked = source } else { asked = RemoteIdentitySource(rpc: try rpcClient("identity", answeredBy: "auth")) }
        let authenticator = Authenticator(
            service: service, publicURL: configuration.publicURL.reveal(), serviceTokens: serviceTokens, amqp: revocations, source: asked,
            log: log)
        add(Component("identity", run: { try await authenticator.run() }, stop: { await authenticator.stop() }))
        require("revocations") { authenticator.isListening }
        require("signing keys") { authenticator.hasSigningKeys }
        return authenticator
    }

    // MARK: HTTP

    /// Calls `makeRouter` once on each loop, after the wiring; what it makes there (pools, caches) belongs to that loop. The
    /// runtime adds `/livez` and `/openapi.json`.
    package func serve(_ makeRouter: @escaping @Sendable (LoopContext) async throws -> Router) {
        wiring.withLock { $0.makeRouter = makeRouter }
    }

    /// Everything in the order it starts.
    func assemble() async throws -> [Component] {
        var routers: [Router] = []
        if let makeRouter = wiring.withLock({ $0.makeRouter }) {
            let openAPI = Files.read(configuration.openAPIPath)
            for (index, loop) in loops.enumerated() {
                let context = LoopContext(runtime: self, loop: loop, index: index)
                var router = try await Task(executorPreference: loop) { try await makeRouter(context) }.value
                router.add(CommonRoutes(openAPI: openAPI))
                routers.append(router)
            }
        }
        // Readiness stops before the things it watches, the servers before readiness: none is told gone because it is stopping.
        let front = HTTPFront(runtime: self, routers: routers)
        let watching = Component(
            "readiness", run: { [readiness] in try await readiness.run { try await front.open() } })
        return [HealthServer.component(self)] + wiring.withLock { $0.components } + [watching, front.component]
    }
}

/// One of the loops that serve HTTP, while its router is made.
package struct LoopContext: Sendable {
    package let runtime: Runtime
    package let loop: EventLoop
    /// 0 is the main loop.
    package let index: Int

    package var log: Logger { runtime.log }

    /// Adds something of this loop's own: `start`, `run` and `stop` run on it.
    package func add(
        _ name: String, stopWithin: Duration = .seconds(5), start: @escaping Component.ThrowingStep = {},
        run: Component.ThrowingStep? = nil,
        stop: Component.Step? = nil
    ) {
        runtime.add(Component("\(name)-\(index)", on: loop, stopWithin: stopWithin, start: start, run: run, stop: stop))
    }
}
