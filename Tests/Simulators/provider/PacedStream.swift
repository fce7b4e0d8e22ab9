import EventLoop
import HTTP

/// Sends a stream's pieces on the beat: the n-th at n / rate after the start, so that lateness does not add up.
///
/// One timer a piece and no task, so thousands of streams cost what their bytes cost. A client that does not read is not
/// waited for: its pieces pile up in the connection, whose write deadline ends it.
final class PacedStream: @unchecked Sendable {
    // @unchecked Sendable: confined to the exchange's loop.
    private let exchange: Exchange
    private let answer: any SimulatedAnswer
    private let pieces: Int
    private let startedAt = MonotonicInstant.current()
    private let ended: Promise<Void>
    private var sent = 0
    private var event: [UInt8] = []
    private var timer: TimerID?

    init(_ exchange: Exchange, _ answer: any SimulatedAnswer, pieces: Int) {
        (self.exchange, self.answer, self.pieces) = (exchange, answer, pieces)
        ended = Promise(on: exchange.loop)
    }

    /// Returns after the last piece, or when the client has gone.
    func run() async throws {
        let outer = exchange.onClose
        exchange.onClose = { [self] in
            outer?()
            if let timer { exchange.loop.cancel(timer) }
            ended.succeed(())
        }
        defer { exchange.onClose = outer }
        scheduleNext()
        try await ended.value()
    }

    /// Returns the time from the start of the stream to a piece, counted from 0.
    static func due(piece: Int, perSecond: Int) -> Duration {
        .nanoseconds(Int64(piece + 1) * 1_000_000_000 / Int64(perSecond))
    }

    private func scheduleNext() {
        guard sent < pieces else {
            ended.succeed(())
            return
        }
        let due = startedAt + Self.due(piece: sent, perSecond: answer.scenario.perSecond)
        timer = exchange.loop.schedule(after: max(.zero, due - .current())) { [self] in
            answer.event(sent, into: &event)
            exchange.write(event)
            sent += 1
            scheduleNext()
        }
    }
}
