import EventLoop
import HTTP

/// Writes an event-stream comment while a stream is silent, so that no proxy on the way to the client takes the stream for dead.
final class KeepAlive {
    static let every = Duration.seconds(15)

    private let exchange: Exchange
    private var lastByteAt: MonotonicInstant
    private var timer: TimerID?

    init(_ exchange: Exchange) {
        self.exchange = exchange
        lastByteAt = exchange.loop.now
        schedule(after: Self.every)
    }

    func touch() { lastByteAt = exchange.loop.now }

    func stop() {
        if let timer { exchange.loop.cancel(timer) }
        timer = nil
    }

    private func schedule(after delay: Duration) {
        timer = exchange.loop.schedule(after: delay) { [self] in
            let silence = exchange.loop.now - lastByteAt
            guard silence >= Self.every else { return schedule(after: Self.every - silence) }
            exchange.write(Array(": keep-alive\n\n".utf8))
            lastByteAt = exchange.loop.now
            schedule(after: Self.every)
        }
    }
}
