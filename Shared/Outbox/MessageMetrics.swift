import AMQP
import EventLoop
import Telemetry

/// The metrics of messages. Their names are from OpenTelemetry's messaging conventions and, where those have none, our own.
struct MessageMetrics: Sendable {
    let pending: Gauge
    let oldestAge: Gauge
    let retryPending: Gauge
    let parked: Gauge
    let deadLetterOldestAge: Gauge
    let confirmSeconds: Histogram
    let duplicates: Counter
    let handleSeconds: Histogram
    let criticalSeconds: Histogram
    private let acked: Counter
    private let nacked: Counter
    private let returned: Counter
    private let refused: Counter
    private let unknown: Counter
    private let metrics: Metrics

    init(_ metrics: Metrics) {
        self.metrics = metrics
        func deadLetters(_ state: String) -> Gauge {
            metrics.gauge(
                "dead_letter_messages", help: "Messages in dead_letter: retry will be handled again, parked waits for an operator",
                labels: ["state": state])
        }
        pending = metrics.gauge("outbox_pending", help: "Messages in the outbox that are not sent, at most 100,000 counted")
        oldestAge = metrics.gauge("outbox_oldest_age_seconds", help: "Age of the oldest message that is not sent")
        retryPending = deadLetters("retry")
        parked = deadLetters("parked")
        deadLetterOldestAge = metrics.gauge("dead_letter_oldest_age_seconds", help: "Age of the oldest message that waits for an operator")
        confirmSeconds = metrics.histogram("outbox_confirm_seconds", help: "From publishing a batch to its last confirm")
        duplicates = metrics.counter("inbox_duplicates_total", help: "Deliveries of messages that had been handled before")
        handleSeconds = metrics.histogram("messaging_process_duration_seconds", help: "Handling one message, with its transaction")
        criticalSeconds = metrics.histogram("messaging_critical_time_seconds", help: "From the sender's transaction to handled")
        func publishes(_ result: String) -> Counter {
            metrics.counter("outbox_publish_total", help: "Publishes by how they ended", labels: ["result": result])
        }
        acked = publishes("acked")
        nacked = publishes("nacked")
        returned = publishes("returned")
        refused = publishes("refused")
        unknown = publishes("unknown")
    }

    func count(published result: Result<Void, PublishError>) {
        switch result {
        case .success: acked.add()
        case .failure(.nacked): nacked.add()
        case .failure(.unroutable): returned.add()
        case .failure(.closed): refused.add()
        case .failure(.timedOut), .failure(.disconnected), .failure(.blocked), .failure(.saturated), .failure(.stopped): unknown.add()
        }
    }

    func consumed(from queue: String, outcome: String) -> Counter {
        metrics.counter(
            "messaging_client_consumed_messages_total", help: "Messages by queue and outcome",
            labels: ["messaging_destination_name": queue, "outcome": outcome])
    }
}
