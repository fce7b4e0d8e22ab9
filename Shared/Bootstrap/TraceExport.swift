import Configuration
import EventLoop
import HTTPClient
import Lifecycle
import Telemetry

/// Sends spans to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names.
enum TraceExport {
    /// The collector's answer when it is not 2xx.
    struct Refused: Error {
        let status: Int
    }

    /// Nil when no endpoint is configured: then spans are not even recorded.
    static func component(_ endpoint: URLText?, service: String, instance: String, log: Logger, loop: EventLoop) -> Component? {
        guard let endpoint else { return nil }
        let client = HTTPClient(loop: loop, connectionsMax: 2)
        let base = endpoint.reveal()
        let url = (base.hasSuffix("/") ? String(base.dropLast()) : base) + "/v1/traces"
        let exporter = OTLPExporter(service: service, instance: instance, log: log) { body in
            var request = ClientRequest("POST", url, headers: [("content-type", "application/json")], body: body)
            request.timeout = .seconds(10)
            let response = try await client.request(request)
            guard (200..<300).contains(response.status) else { throw Refused(status: response.status) }
        }
        Tracer.shared.export(to: exporter)
        return Component(
            "trace export",
            run: {
                await exporter.run { try await loop.sleep(for: .seconds(1)) }
                // Cancelled by the group's stop: what is left goes out in a task that is not.
                await Task { await exporter.flush() }.value
                client.close()
            })
    }
}
