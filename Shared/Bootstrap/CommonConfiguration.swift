package import Configuration
package import HTTP
import Identity
package import Telemetry

/// The variables that every service reads. Each variable that may hold a password can come from the file that
/// `<NAME>_FILE` names.
///
/// | variable | default | |
/// |---|---|---|
/// | `DATABASE_URL` | required by `Runtime.database()` | `postgresql://role:password@host:port/database` |
/// | `AMQP_URL` | required by `Runtime.broker(_:)` | `amqp://user:password@host:port/vhost`, or `amqps` |
/// | `HTTP_HOST` | `127.0.0.1` | address to listen on |
/// | `HTTP_PORT` | the service's own | 0…65535; 0 takes a free one |
/// | `HEALTH_PORT` | the service's own + 1000 | 0…65535; `/livez`, `/readyz` and `/metrics`; 0 takes a free one |
/// | `TRUSTED_PROXIES` | loopback and private networks | networks like `10.0.0.0/8`, separated by commas, or `none` |
/// | `LOOPS` | number of cores | 1…64; only read by services that can use more than one |
/// | `PUBLIC_URL` | `http://127.0.0.1:8080` | where people and clients find the gateway |
/// | `LOG_LEVEL` | `info` | `debug`, `info`, `warning`, `error` |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | none | `http(s)://host:4318`; traces are exported only when it is set |
/// | `SHUTDOWN_GRACE` | `30s` | 0s…1h, for running requests after SIGTERM |
/// | `SHUTDOWN_DELAY` | `0s` | 0s…5m, between `/readyz` 503 and the closing of `HTTP_PORT`: time for a load balancer to notice |
/// | `MIGRATIONS_PATH` | `Services/<service>/Migrations` | for `<service> migrate` |
/// | `OUTBOX_MIGRATIONS_PATH` | `Shared/Outbox/Migrations` | applied before the service's own |
/// | `OPENAPI_PATH` | `Services/<service>/openapi.json` | served at `/openapi.json` when it is there |
package struct CommonConfiguration: Sendable {
    package let httpHost: String
    package let httpPort: Int
    package let healthPort: Int
    package let loops: Int
    package let trustedProxies: TrustedProxies
    package let publicURL: URLText
    package let logLevel: LogLevel
    package let traceEndpoint: URLText?
    package let shutdownGrace: Duration
    package let shutdownDelay: Duration
    package let migrationPaths: [String]
    package let openAPIPath: String

    /// The page where a user buys credits.
    package var topUpURL: String { AccessToken.issuer(publicURL: publicURL.reveal()) + "/buy" }

    init(_ environment: Environment, service: String, port: Int, loops: Runtime.Loops) throws(ConfigurationError) {
        httpHost = environment.string("HTTP_HOST", default: "127.0.0.1")
        httpPort = try environment.integer("HTTP_PORT", default: port, in: 0...65_535)
        healthPort = try environment.integer("HEALTH_PORT", default: port == 0 ? 0 : port + 1_000, in: 0...65_535)
        guard healthPort == 0 || healthPort != httpPort else {
            throw .malformed("HEALTH_PORT", found: "\(healthPort)", expected: "another port than that of HTTP_PORT")
        }
        trustedProxies = try Self.trustedProxies(environment)
        self.loops =
            switch loops {
            case .one: 1
            case .perCore: try environment.integer("LOOPS", default: min(64, Cores.count), in: 1...64)
            }
        publicURL = try environment.url("PUBLIC_URL", schemes: ["http", "https"], default: "http://127.0.0.1:8080")
        let level = try environment.choice("LOG_LEVEL", default: LogLevel.info.name, of: LogLevel.allCases.map(\.name))
        logLevel = LogLevel(name: level) ?? .info
        traceEndpoint = try environment.optionalURL("OTEL_EXPORTER_OTLP_ENDPOINT", schemes: ["http", "https"])
        shutdownGrace = try environment.duration("SHUTDOWN_GRACE", default: .seconds(30), in: .zero ... .seconds(3_600))
        shutdownDelay = try environment.duration("SHUTDOWN_DELAY", default: .zero, in: .zero ... .seconds(300))
        migrationPaths = [
            environment.string("OUTBOX_MIGRATIONS_PATH", default: "Shared/Outbox/Migrations"),
            environment.string("MIGRATIONS_PATH", default: "Services/\(service)/Migrations"),
        ]
        openAPIPath = environment.string("OPENAPI_PATH", default: "Services/\(service)/openapi.json")
    }

    private static func trustedProxies(_ environment: Environment) throws(ConfigurationError) -> TrustedProxies {
        let texts = environment.list("TRUSTED_PROXIES", default: TrustedProxies.byDefault)
        if texts == ["none"] { return TrustedProxies([]) }
        var networks: [IPNetwork] = []
        for text in texts {
            guard let network = IPNetwork(text) else {
                throw .malformed(
                    "TRUSTED_PROXIES", found: text, expected: "networks like 10.0.0.0/8 or fd00::/8, separated by commas, or none")
            }
            networks.append(network)
        }
        return TrustedProxies(networks)
    }
}
