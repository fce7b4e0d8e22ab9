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
    /// A connection has one client.
    var onReturn: (() -> Void)?
    var onDrain: (() -> Void)? {
        get { exchange.onDrain }
        set { exchange.onDrain = newValue }
    }
    func whenServerStops(_ action: @escaping () -> Void) { exchange.whenServerStops(action) }

    func take(_ charge: ChargeID) { exchange.commonHeaders.add(Receipts.idHeader, charge.description) }

    func dropRequest() { exchange.dropBody() }

    func begin(_ head: StreamHead) {
        var headers: HeaderBlock = ["cache-control": "no-cache"]
        headers.add("content-type", head.mediaType)
        headers.add("x-accel-buffering", "no")
        headers.add("x-provider", head.provider)
        if let limit = head.maxTokensClamped { headers.add("x-max-tokens-clamped", Int(limit)) }
        if let receipt = head.binary?.receipt { headers.add(receipt) }
        exchange.begin(200, headers: headers)
        // A comment in other bytes than events would damage them.
        if head.binary == nil { keepAlive = KeepAlive(exchange) }
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

extension StreamHead {
    var mediaType: String { binary?.mediaType ?? "text/event-stream; charset=utf-8" }
}

extension HeaderBlock {
    /// Adds what a call cost.
    mutating func add(_ receipt: CallReceipt) {
        add("x-credits-used", receipt.used.description)
        if let remaining = receipt.remaining { add("x-credits-remaining", remaining.description) }
    }
}
