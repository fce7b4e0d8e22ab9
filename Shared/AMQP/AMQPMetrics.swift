import Telemetry

/// How publishes ended.
struct PublishMetrics: Sendable {
    private let confirmed: Counter
    private let returned: Counter
    private let nacked: Counter
    private let timedOut: Counter
    private let lost: Counter
    let unconfirmed: Gauge

    init(role: String) {
        func counter(_ result: String) -> Counter {
            Metrics.shared.counter("amqp_publish_total", help: "Publishes by outcome.", labels: ["role": role, "result": result])
        }
        (confirmed, returned, nacked) = (counter("acked"), counter("returned"), counter("nacked"))
        (timedOut, lost) = (counter("timeout"), counter("lost"))
        unconfirmed = Metrics.shared.gauge(
            "amqp_unconfirmed", help: "Published and not yet confirmed.", labels: ["role": role])
    }

    func count(_ result: Result<Void, PublishError>) {
        switch result {
        case .success: confirmed.add()
        case .failure(.unroutable): returned.add()
        case .failure(.nacked): nacked.add()
        case .failure(.timedOut): timedOut.add()
        case .failure: lost.add()
        }
    }
}

/// How long calls took, by how they ended.
struct RPCMetrics: Sendable {
    private let answered: Histogram
    private let timedOut: Histogram
    private let refused: Histogram
    private let lost: Histogram
    let late: Counter
    let foreign: Counter

    init(role: String) {
        late = Metrics.shared.counter(
            "rpc_late_replies_total", help: "Replies whose requester no longer waited.", labels: ["role": role])
        foreign = Metrics.shared.counter(
            "rpc_foreign_replies_total", help: "Replies dropped because another user of the broker sent them.",
            labels: ["role": role])
        func histogram(_ outcome: String) -> Histogram {
            Metrics.shared.histogram(
                "rpc_client_duration_seconds", help: "Calls, from asking to knowing.", labels: ["role": role, "outcome": outcome])
        }
        (answered, timedOut) = (histogram("ok"), histogram("timeout"))
        (refused, lost) = (histogram("refused"), histogram("lost"))
    }

    func observe(_ result: Result<Delivery, RPCError>, _ duration: Duration) {
        switch result {
        case .success: answered.observe(duration)
        case .failure(.timedOut): timedOut.observe(duration)
        case .failure(.blocked): refused.observe(duration)
        case .failure(let error) where error.neverArrived: refused.observe(duration)
        case .failure: lost.observe(duration)
        }
    }
}
