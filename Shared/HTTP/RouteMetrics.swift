import HTTPWire
import Synchronization
import Telemetry

/// The metrics of one route, made when first counted, then kept: counting is a few relaxed atomics.
final class RouteMetrics: Sendable {
    private let pattern: String
    private let inFlight: Gauge
    private let series = Mutex<[Key: Series]>([:])

    private struct Key: Hashable {
        let method: Method
        let statusClass: Int
    }

    private struct Series: Sendable {
        let requests: Counter
        let duration: Histogram
    }

    init(_ pattern: String) {
        self.pattern = pattern
        inFlight = Metrics.shared.gauge("http_requests_in_flight", help: "Requests being handled.", labels: ["route": pattern])
    }

    func began() { inFlight.add(1) }
    func ended() { inFlight.add(-1) }

    /// Labels: pattern, method, class of the status; a client that left without one is class `gone`.
    func observe(_ method: Method, status: Int, seconds: Double) {
        let key = Key(method: method, statusClass: status / 100)
        let found = series.withLock { series in
            if let known = series[key] { return known }
            let labels: KeyValuePairs = [
                "route": pattern, "method": method.rawValue, "status": status == 0 ? "gone" : "\(status / 100)xx",
            ]
            let made = Series(
                requests: Metrics.shared.counter("http_requests_total", help: "Answered requests.", labels: labels),
                duration: Metrics.shared.histogram(
                    "http_request_duration_seconds", help: "From the first byte of a request to the end of its answer.", labels: labels))
            series[key] = made
            return made
        }
        found.requests.add()
        found.duration.observe(seconds)
    }
}
