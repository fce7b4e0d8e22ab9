import Configuration
import EventLoop
import Glibc
import HTTP
import Lifecycle
import Telemetry

/// A provider with the APIs of OpenAI and Anthropic for tests and benchmarks, whose behaviour is chosen by model name
/// (``Scenario``).
///
/// - `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/embeddings`, `POST
///   /v1/completions`, `GET /v1/models`: with any `Authorization: Bearer`.
/// - `POST /v1/messages`, `POST /v1/messages/count_tokens`: Anthropic's API, with any `x-api-key` and the version 2023-06-01.
/// - `/v1/videos`: jobs (``VideoJobs``).
/// - `GET /stats`: `{calls, finished, aborted, active, prompt_tokens, completion_tokens}`; `POST
///   /reset` sets all but `active` to zero.
/// - `GET /last-request`: the body of the last call of a model, as it came.
/// - `GET /livez`, `GET /readyz`: 200.
///
/// Environment:
/// - `PORT`, else `HTTP_PORT`: 8190; 1...65535.
/// - `HTTP_HOST`: 127.0.0.1.
/// - `SIMULATOR_LOOPS`: 1; threads, 1...64.
@main
struct ProviderSimulator {
    static func main() {
        Signals.takeOver()
        let environment = Environment.process()
        do throws(ConfigurationError) {
            let fallback = try environment.integer("HTTP_PORT", default: 8190, in: 1...65_535)
            var configuration = HTTPServerConfiguration(
                host: environment.string("HTTP_HOST", default: "127.0.0.1"),
                port: try environment.integer("PORT", default: fallback, in: 1...65_535))
            let loops = try environment.integer("SIMULATOR_LOOPS", default: 1, in: 1...64)
            configuration.reusePort = loops > 1
            configuration.connectionsMax = 20_000
            run(configuration, loops: loops)
        } catch {
            let line = Array("provider-simulator: \(error)\n".utf8)
            write(STDERR_FILENO, line, line.count)
            exit(1)
        }
    }

    private static func run(_ configuration: HTTPServerConfiguration, loops: Int) {
        EventLoop.runMain(name: "simulator") { main in
            let log = Logger(service: "provider-simulator", level: .warning)
            let api = ProviderAPI()
            let servers = (0..<loops).map { index in
                let loop = index == 0 ? main : EventLoop.spawn(name: "simulator-\(index)")
                return HTTPServer(loop: loop, configuration: configuration, handler: api.serve, log: log)
            }
            let components = servers.map { server in
                Component("http", on: server.loop, start: { try server.start() }, stop: { await server.drain(within: .seconds(1)) })
            }
            let status = await ServiceGroup(loop: main, components: components, log: log).run()
            exit(status.rawValue)
        }
    }
}
