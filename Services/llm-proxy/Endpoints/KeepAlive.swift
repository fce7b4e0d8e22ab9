import EventLoop
import HTTP

/// Writes an event-stream comment while the provider is silent, so that no proxy on the way to the client takes the stream for dead.
final class KeepAlive {
    static let every = Duration.seconds(15)

    private let exchange: Exchange
    private let loop: EventLoop
    private var lastByteAt: MonotonicInstant
    private var timer: TimerID?

    init(_ exchange: Exchange, on loop: EventLoop) {
        self.exchange = exchange
        self.loop = loop
        lastByteAt = loop.now
        schedule(after: Self.every)
    }

    func touch() { lastByteAt = loop.now }

    func stop() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    private func schedule(after delay: Duration) {
        timer = loop.schedule(after: delay) { [self] in
            let silence = loop.now - lastByteAt
            guard silence >= Self.every else { return schedule(after: Self.every - silence) }
            // A blank line would end the event if the provider is between two of its lines.
            exchange.write(Array(": keep-alive\n".utf8))
            lastByteAt = loop.now
            schedule(after: Self.every)
        }
    }
}
