import Telemetry

/// Tells the log and the metrics what happens to a connection. The label `role` is the configuration's connection name.
struct ConnectionLog: Sendable {
    private let role: String
    private let log: Logger
    private let up: Gauge
    private let isBlocked: Gauge

    init(_ configuration: AMQPConfiguration, _ log: Logger) {
        role = configuration.connectionName
        self.log = log.with(["amqp.role": "\(configuration.connectionName)"])
        up = Metrics.shared.gauge("amqp_connection_up", help: "1 while the channel is ready.", labels: ["role": role])
        isBlocked = Metrics.shared.gauge(
            "amqp_connection_blocked", help: "1 while the broker takes nothing because of an alarm.", labels: ["role": role])
    }

    func connected(_ configuration: AMQPConfiguration) {
        up.set(1)
        log.info("broker connected", ["amqp.broker": .describing(configuration)])
    }

    func disconnected(_ failure: ConnectionFailure, retryIn: Duration?) {
        up.set(0)
        isBlocked.set(0)
        guard let retryIn else { return }
        Metrics.shared.counter(
            "amqp_reconnects_total", help: "Connections lost or not made.", labels: ["role": role, "reason": failure.kind.name]
        ).add()
        log.warning("broker disconnected", ["reason": "\(failure.kind.name)", "retry_ms": .milliseconds(retryIn)], error: failure)
    }

    func closed() {
        up.set(0)
        log.info("broker connection closed")
    }

    func channelClosed(code: Int, _ failure: ConnectionFailure) {
        up.set(0)
        Metrics.shared.counter(
            "amqp_channel_closed_total", help: "Channels the broker closed, by its code.", labels: ["role": role, "code": "\(code)"]
        ).add()
        log.error("broker closed the channel", ["amqp.code": .integer(code)], error: failure)
    }

    func blocked(_ reason: String) {
        isBlocked.set(1)
        log.warning("broker blocks publishing", ["reason": "\(reason)"])
    }

    func unblocked() {
        isBlocked.set(0)
        log.info("broker accepts messages again")
    }
}
