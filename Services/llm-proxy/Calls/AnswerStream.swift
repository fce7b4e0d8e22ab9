import Contracts
import EventLoop
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
        case failed(ProviderFailure)
    }

    private(set) var meter: StreamMeter
    private(set) var isRunning = true
    /// The time of the first content.
    private(set) var firstContentAt: MonotonicInstant?

    private let sink: any AnswerSink
    private let call: ProviderCall
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
        _ call: ProviderCall, to sink: any AnswerSink, hold: StreamHold, isListening: Bool, on loop: EventLoop,
        extend: @escaping (StreamHold.Extension) async -> Result<Credits, HoldRefusal>
    ) {
        (self.sink, self.call, self.hold, self.isListening, self.loop) = (sink, call, hold, isListening, loop)
        self.extend = extend
        meter = StreamMeter(call.reader())
        meter.budget = hold.budget
    }

    /// True while the answer goes on to the client, or the gateway listens to it.
    var needsCredits: Bool { isRunning && (isListening || !sink.isClosed) }

    /// Reads on after the client left before the answer began. No client gets what is read.
    func listen() {
        isListening = true
        extendIfNeeded()
        if !meter.isOverBudget { call.resume() }
    }

    /// Passes the answer through to its end. The usage chunk and the end marker stay in ``meter``.
    func run() async -> End {
        sink.onDrain = { [self] in if !meter.isOverBudget { call.resume() } }
        defer {
            sink.providerEnded()
            sink.onDrain = nil
            isRunning = false
        }
        var failure: ProviderFailure?
        do throws(ProviderFailure) {
            try await call.pipe { [self] in take($0) }
            finish()
            while meter.isOverBudget, !isCut, needsCredits, let asking { await asking.value }
        } catch {
            failure = error
        }
        return end(after: failure)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        meter.feed(bytes) { sink.write($0) }
        if firstContentAt == nil, meter.contentEvents > 0 { firstContentAt = loop.now }
        if meter.failure != nil { return call.cancel() }
        extendIfNeeded()
        if sink.isBackpressured || meter.isOverBudget { call.pause() }
    }

    // Not inlined, like `end`: the frame of a task keeps the temporaries of inlined code while its
    // stream lives.
    @inline(never)
    private func finish() {
        meter.finish { sink.write($0) }
        extendIfNeeded()
    }

    @inline(never)
    private func end(after failure: ProviderFailure?) -> End {
        if let failure {
            if let failure = meter.failure { return .failed(failure) }
            // A connection may break after the end marker: nothing of the answer is missing.
            let isWhole = meter.isEnded && !meter.isOverBudget && failure.kind != .cancelled
            if !isCut, !isWhole { return .failed(failure) }
        }
        if isCut { return refusal.map(End.cut) ?? .beyondLimit }
        if let failure = meter.failure { return .failed(failure) }
        if meter.isOverBudget { return .failed(ProviderFailure(.cancelled)) }
        return meter.isEnded ? .whole : .failed(ProviderFailure(.wrongAnswer("with a stream that has no end")))
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
                meter.raiseBudget(hold.budget) { sink.write($0) }
                if meter.failure != nil { return call.cancel() }
                extendIfNeeded()
                if !meter.isOverBudget, !sink.isBackpressured { call.resume() }
            }
        }
        guard meter.isOverBudget, hold.isFinal else { return }
        if isListening { meter.raiseBudget(TokenBudget()) { sink.write($0) } } else { cut() }
    }

    private func cut() {
        isCut = true
        call.cancel()
    }
}
