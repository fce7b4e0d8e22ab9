import EventLoop
import HTTP
import UpstreamClient
import Values

/// A provider's stream on its way to the client. The proxy meters it, pauses it at the end of the
/// hold, and cuts it if no more credits come. A stream whose client left before it began is
/// extended in the same way, but never cut, because its usage decides the charge.
final class AnswerStream: @unchecked Sendable {
    // @unchecked Sendable: confined to the caller's loop, where its tasks run too.

    enum End {
        /// The provider's answer is whole, and all of it is paid for.
        case whole
        /// The hold ended before the answer did.
        case cut(HoldRefusal)
        /// The provider went on beyond the limit of the answer.
        case beyondLimit
        /// A line of the stream is too long to be metered.
        case unreadable
        case failed(UpstreamError)
    }

    private(set) var meter = StreamMeter()
    private(set) var isRunning = true

    private let exchange: Exchange
    private let answer: UpstreamResponse
    private let loop: EventLoop
    private let extend: (StreamHold.Extension) async -> Result<Credits, HoldRefusal>
    private var hold: StreamHold
    /// True if the client left before the answer began.
    private var isListening: Bool
    /// The running question to the ledger for more credits.
    private var asking: Task<Void, Never>?
    private var refusal: HoldRefusal?
    private var isCut = false

    /// - Parameter extend: asks the ledger for more credits, as long as the stream
    ///   ``needsCredits``.
    init(
        _ exchange: Exchange, _ answer: UpstreamResponse, hold: StreamHold, isListening: Bool, on loop: EventLoop,
        extend: @escaping (StreamHold.Extension) async -> Result<Credits, HoldRefusal>
    ) {
        self.exchange = exchange
        self.answer = answer
        self.hold = hold
        self.isListening = isListening
        self.loop = loop
        self.extend = extend
        meter.budget = hold.budget
    }

    /// True while the answer goes on to the client, or the gateway listens to it.
    var needsCredits: Bool { isRunning && (isListening || !exchange.isClosed) }

    /// Reads on after the client left before the answer began. No client gets what is read.
    func listen() {
        isListening = true
        extendIfNeeded()
        if !meter.isOverBudget { answer.resume() }
    }

    /// Passes the answer through to its end. The usage event and `[DONE]` stay in ``meter``.
    func run() async -> End {
        exchange.onDrain = { [self] in if !meter.isOverBudget { answer.resume() } }
        let keepAlive = KeepAlive(exchange, on: loop)
        defer {
            keepAlive.stop()
            exchange.onDrain = nil
            isRunning = false
        }
        do throws(UpstreamError) {
            try await answer.pipe { [self] bytes in
                keepAlive.touch()
                meter.feed(bytes) { exchange.write($0) }
                if meter.isBroken { return answer.cancel() }
                extendIfNeeded()
                if exchange.isCongested || meter.isOverBudget { answer.pause() }
            }
            meter.finish { exchange.write($0) }
            extendIfNeeded()
            while meter.isOverBudget, !isCut, needsCredits, let asking { await asking.value }
        } catch {
            if meter.isBroken { return .unreadable }
            if !isCut { return .failed(error) }
        }
        if isCut { return refusal.map(End.cut) ?? .beyondLimit }
        return meter.isOverBudget ? .failed(UpstreamError(.cancelled)) : .whole
    }

    /// Runs after each read. Asks for more credits while the answer goes on. Ends the answer if the
    /// hold does not pay for the content that is here, and never will.
    private func extendIfNeeded() {
        if let more = hold.next(delivered: meter.outputTokens, isUsedUp: meter.isOverBudget) {
            asking = Task(executorPreference: loop) { [self] in
                let result = await extend(more)
                asking = nil
                switch result {
                case .success(let granted): hold.extended(by: granted)
                case .failure(let why):
                    refusal = why
                    hold.refused()
                }
                guard needsCredits else { return }
                if refusal == .holdGone, !isListening { return cut() }
                meter.raiseBudget(hold.budget) { exchange.write($0) }
                extendIfNeeded()
                if !meter.isOverBudget, !exchange.isCongested { answer.resume() }
            }
        }
        guard meter.isOverBudget, hold.isFinal else { return }
        if isListening { meter.raiseBudget(TokenBudget()) { exchange.write($0) } } else { cut() }
    }

    private func cut() {
        isCut = true
        answer.cancel()
    }
}
