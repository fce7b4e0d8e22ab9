import EventLoop
import HTTP
import HTTPWire
import Values

/// The client's connection as the sink of an answer. It writes keep-alive comments while no byte of
/// a stream goes to the client.
final class ClientSink: AnswerSink {
    private let exchange: Exchange
    private var keepAlive: KeepAlive?
    private var translator: (any StreamTranslator)?

    init(_ exchange: Exchange, _ translator: (any StreamTranslator)?) { (self.exchange, self.translator) = (exchange, translator) }

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

    func take(_ charge: ChargeID) { exchange.commonHeaders.add(Receipts.idHeader, charge.description) }

    func dropRequest() { exchange.dropBody() }

    func begin(provider: String, maxTokensClamped: Int64?) {
        var headers: HeaderBlock = ["content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"]
        headers.add("x-accel-buffering", "no")
        headers.add("x-provider", provider)
        if let maxTokensClamped { headers.add("x-max-tokens-clamped", Int(maxTokensClamped)) }
        exchange.begin(200, headers: headers)
        keepAlive = KeepAlive(exchange)
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        keepAlive?.touch()
        guard translator != nil else { return exchange.write(bytes) }
        if let translated = translator?.translate(bytes) { exchange.write(translated) }
    }

    func providerEnded() {
        keepAlive?.stop()
        keepAlive = nil
    }
}
