import EventLoop
import HTTP
import HTTPWire
import Values

/// The client's connection as the sink of an answer. It writes keep-alive comments while no byte of
/// a stream goes to the client.
final class ClientSink: AnswerSink {
    private let exchange: Exchange
    private var keepAlive: KeepAlive?

    init(_ exchange: Exchange) { self.exchange = exchange }

    var isClosed: Bool { exchange.isClosed }
    var isBackpressured: Bool { exchange.isBackpressured }
    var onClose: (() -> Void)? {
        get { exchange.onClose }
        set { exchange.onClose = newValue }
    }
    var onDrain: (() -> Void)? {
        get { exchange.onDrain }
        set { exchange.onDrain = newValue }
    }
    func whenServerStops(_ action: @escaping () -> Void) { exchange.whenServerStops(action) }

    func take(_ charge: ChargeID, _ limit: OutputLimit) {
        exchange.commonHeaders.add(Receipts.idHeader, charge.description)
        if limit.isClamped { exchange.commonHeaders.add("x-max-tokens-clamped", Int(limit.tokens)) }
    }

    func dropRequest() { exchange.dropBody() }

    func begin(provider: String) {
        var headers: HeaderBlock = ["content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"]
        headers.add("x-accel-buffering", "no")
        headers.add("x-provider", provider)
        exchange.begin(200, headers: headers)
        keepAlive = KeepAlive(exchange)
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        keepAlive?.touch()
        exchange.write(bytes)
    }

    func providerEnded() {
        keepAlive?.stop()
        keepAlive = nil
    }
}
