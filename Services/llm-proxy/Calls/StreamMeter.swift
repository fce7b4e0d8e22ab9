import Contracts
import SSE

/// The meter of a provider's stream on its way to the client.
///
/// It counts what goes on, for the case that usage never comes. An event with content that the hold
/// does not pay for stays here, uncounted, with all later bytes, until ``raiseBudget(_:forward:)``
/// allows it. The reader holds the end of the stream back.
struct StreamMeter {
    /// True if the provider said that the answer is whole.
    private(set) var isEnded = false
    /// The usage of the last event in which the provider reported any.
    private(set) var usage: Usage?
    /// The last chunk that carries nothing but usage, without its line ends.
    private(set) var usageChunk: [UInt8]?
    /// The number of the last event, if the surface numbers events.
    private(set) var lastEventNumber: Int64?
    /// The reason why the rest of the stream cannot be passed on. All later bytes are dropped.
    private(set) var failure: ProviderFailure?
    /// Set before the first byte; later by ``raiseBudget(_:forward:)``.
    var budget = TokenBudget()

    private var parser: SSEParser
    private var reader: any EventReader
    private var count = Count()
    /// The first event that the hold does not pay for, with its output.
    private var held: (event: StreamEvent, output: [UInt8])?
    /// The bytes behind the held event.
    private var waiting: [UInt8] = []
    private var isFinished = false

    init(_ reader: any EventReader) {
        self.reader = reader
        parser = SSEParser(eventBytesMax: reader.eventBytesMax)
    }

    /// The choices that got content, event by event: text, tool calls, reasoning.
    var contentEvents: Int64 { count.contentEvents }
    /// The delivered tokens if usage never comes: at least one an event, and one for four bytes.
    var outputTokensDelivered: Int64 { count.outputTokensDelivered }
    /// The tokens that count against the budget.
    var outputTokens: Int64 { count.outputTokens(budget) }
    /// True if content is here that the hold does not pay for.
    var isOverBudget: Bool { held != nil }

    /// Returns the usage to charge so far: the provider's figure if it covers everything delivered
    /// and is not zero, otherwise our own count.
    /// - Parameters:
    ///   - promptTokens: the estimate, for a provider that does not count the prompt.
    ///   - unit: the unit of output that the provider did not report.
    func delivered(promptTokens: Int64, of unit: UsageUnit = .output) -> (usage: Usage, isEstimated: Bool) {
        if let usage, count.isReportCurrent, usage.completionTokens > 0 || contentEvents == 0 {
            return usage.withPrompt(promptTokens)
        }
        guard contentEvents > 0 else { return (.none, true) }
        return ((usage ?? .none).withOutput(atLeast: outputTokensDelivered, of: unit).withPrompt(promptTokens).usage, true)
    }

    /// Takes the bytes that arrived and hands on, in order, what may go to the client now.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, forward: (UnsafeRawBufferPointer) -> Void) {
        guard failure == nil else { return }
        guard !isOverBudget else { return waiting.append(contentsOf: bytes) }
        var run = Run()
        var parser = SSEParser()
        swap(&parser, &self.parser)
        let used = parser.feed(bytes) { event in take(event, &run, forward) }
        swap(&parser, &self.parser)
        run.flush(forward)
        if isOverBudget { waiting.append(contentsOf: bytes[used...]) }
        if self.parser.isBroken, failure == nil {
            failure = ProviderFailure(.unreachable, cause: "an event of more than \(reader.eventBytesMax) bytes")
        }
    }

    /// The stream has ended: bytes after its last empty line are an event too.
    mutating func finish(forward: (UnsafeRawBufferPointer) -> Void) {
        isFinished = true
        guard !isOverBudget, failure == nil else { return }
        var run = Run()
        var parser = SSEParser()
        swap(&parser, &self.parser)
        // The endpoint writes events of its own behind this one, so it needs its empty line.
        var isOpen = false
        func forwardLast(_ bytes: UnsafeRawBufferPointer) {
            forward(bytes)
            isOpen = !bytes.suffix(2).elementsEqual([0x0A, 0x0A])
        }
        parser.finish { event in take(event, &run, forwardLast) }
        swap(&parser, &self.parser)
        run.flush(forwardLast)
        if isOpen { [UInt8]([0x0A, 0x0A]).withUnsafeBytes(forward) }
    }

    /// Lets the answer go on to `budget`. Waiting bytes go on now.
    mutating func raiseBudget(_ budget: TokenBudget, forward: (UnsafeRawBufferPointer) -> Void) {
        self.budget = budget
        guard let (event, output) = held, counts(event) else { return }
        held = nil
        output.withUnsafeBytes(forward)
        let rest = waiting
        waiting = []
        rest.withUnsafeBytes { feed($0, forward: forward) }
        if isFinished { finish(forward: forward) }
    }

    /// Takes one event. Returns false if the hold does not pay for it, or if the stream has failed.
    private mutating func take(_ event: SSEEvent, _ run: inout Run, _ forward: (UnsafeRawBufferPointer) -> Void) -> Bool {
        let read = reader.read(event)
        guard read.failure == nil else {
            failure = read.failure
            return false
        }
        guard counts(read) else {
            held = (read, Self.output(of: read, event))
            return false
        }
        switch read.output {
        case .nothing: break
        case .asSent where event.isWhole: run.append(event.raw, forward)
        case .asSent:
            run.flush(forward)
            forward(event.raw)
        case .instead(let bytes):
            run.flush(forward)
            bytes.withUnsafeBytes(forward)
        }
        return true
    }

    private static func output(of read: StreamEvent, _ event: SSEEvent) -> [UInt8] {
        switch read.output {
        case .nothing: []
        case .asSent: Array(event.raw)
        case .instead(let bytes): bytes
        }
    }

    /// Counts an event if the hold pays for it.
    private mutating func counts(_ event: StreamEvent) -> Bool {
        var next = count
        next.contentEvents += event.choicesWithContent
        next.contentBytes += event.contentBytes
        if let usage = event.usage {
            next.tokensReported = usage.completionTokens
            next.contentEventsReported = next.contentEvents
        }
        guard event.choicesWithContent == 0 || next.outputTokens(budget) <= budget.outputTokens else { return false }
        count = next
        if event.usage != nil { usage = event.usage }
        if event.usageChunk != nil { usageChunk = event.usageChunk }
        if event.number != nil { lastEventNumber = event.number }
        if event.isEnd { isEnded = true }
        return true
    }
}

extension StreamMeter {
    /// Neighbouring events of one read, which go on in one piece.
    private struct Run {
        private var bytes = UnsafeRawBufferPointer(start: nil, count: 0)

        mutating func append(_ event: UnsafeRawBufferPointer, _ forward: (UnsafeRawBufferPointer) -> Void) {
            if let start = bytes.baseAddress, start + bytes.count == event.baseAddress {
                bytes = UnsafeRawBufferPointer(start: start, count: bytes.count + event.count)
            } else {
                flush(forward)
                bytes = event
            }
        }

        mutating func flush(_ forward: (UnsafeRawBufferPointer) -> Void) {
            guard !bytes.isEmpty else { return }
            forward(bytes)
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }

    /// The count of what was sent to the client. It holds numbers only: each event copies it.
    private struct Count {
        var contentEvents: Int64 = 0
        var contentBytes: Int64 = 0
        /// The tokens of the answer in the last report of usage, and the content that it can cover.
        var tokensReported: Int64 = 0
        var contentEventsReported: Int64 = 0

        var isReportCurrent: Bool { contentEventsReported == contentEvents }
        var outputTokensDelivered: Int64 { max(contentEvents, (contentBytes + 3) / 4) }

        func outputTokens(_ budget: TokenBudget) -> Int64 {
            let counted = budget.countsEventsOnly ? contentEvents : outputTokensDelivered
            guard tokensReported > 0 else { return counted }
            return isReportCurrent ? tokensReported : max(tokensReported, counted)
        }
    }
}
