import Glibc
import JSON

/// Reads a provider's event stream as it passes through, cut anywhere, and holds back its end.
///
/// Whole lines go on at once; the usage event and `[DONE]` stay here until the charge is safe, so that a caller who saw the end
/// of an answer knows that it is paid for. What was delivered is counted for the case that usage never arrives. An event with content
/// that the hold does not pay for stays here too, uncounted, with all that follows, until ``raiseBudget(_:forward:)`` says it does.
struct StreamMeter {
    /// The provider said that the answer is whole.
    private(set) var isDone = false
    /// The event that carries nothing but usage, without its line end; for callers who asked for it.
    private(set) var usageEvent: [UInt8]?
    private var count = Count()
    /// Set before the first byte; later by ``raiseBudget(_:forward:)``.
    var budget = TokenBudget()
    /// The bytes from the first event on that the hold does not pay for.
    private var uncovered: [UInt8] = []
    private var hasEnded = false
    /// True after a line longer than ``lineBytesMax``. The following bytes cannot be metered, and
    /// are dropped.
    private(set) var isBroken = false
    private var partialLine: [UInt8] = []
    private var withholdsBlankLine = false

    /// The longest line in bytes. No provider sends an event as long as this.
    static let lineBytesMax = 1 << 20

    /// The count of what was sent to the client.
    fileprivate struct Count {
        var usage: TokenUsage?
        var contentEvents: Int64 = 0
        var contentBytes: Int64 = 0
        /// How much of the content the last word on usage can speak of.
        var contentEventsAtUsage: Int64 = 0

        var isUsageCurrent: Bool { contentEventsAtUsage == contentEvents }
        var outputTokensDelivered: Int64 { max(contentEvents, (contentBytes + 3) / 4) }

        func outputTokens(countingEventsOnly: Bool) -> Int64 {
            let counted = countingEventsOnly ? contentEvents : outputTokensDelivered
            guard let reported = usage?.completionTokens, reported > 0 else { return counted }
            return isUsageCurrent ? reported : max(reported, counted)
        }
    }

    /// The usage of the last event in which the provider reported any.
    var usage: TokenUsage? { count.usage }
    /// Events with content: text, tool calls, reasoning.
    var contentEvents: Int64 { count.contentEvents }
    /// Tokens delivered, for an answer whose usage never came: one an event at least, and one for four bytes at least.
    var outputTokensDelivered: Int64 { count.outputTokensDelivered }
    /// The tokens that count against ``TokenBudget/outputTokens``.
    var outputTokens: Int64 { count.outputTokens(countingEventsOnly: budget.countsEventsOnly) }
    /// Something is here that the hold does not pay for.
    var isOverBudget: Bool { !uncovered.isEmpty }

    /// Returns the usage to charge so far: the provider's figure if it covers everything delivered and is not zero, otherwise
    /// our own count.
    /// - Parameter promptTokens: the estimate, for a provider that does not count the prompt.
    func delivered(promptTokens: Int64) -> (usage: TokenUsage, isEstimated: Bool) {
        if let usage, count.isUsageCurrent, usage.completionTokens > 0 || contentEvents == 0 {
            return usage.withPrompt(promptTokens)
        }
        guard contentEvents > 0 else { return (TokenUsage(promptTokens: 0, completionTokens: 0), true) }
        let reported = usage ?? TokenUsage(promptTokens: 0, completionTokens: 0)
        return (
            TokenUsage(
                promptTokens: reported.promptTokens > 0 ? reported.promptTokens : promptTokens,
                completionTokens: max(reported.completionTokens, outputTokensDelivered)), true
        )
    }

    /// The stream has ended: what came after the last line end is a line too.
    mutating func finish(forward: (UnsafeRawBufferPointer) -> Void) {
        hasEnded = true
        guard !isOverBudget, !isBroken, !partialLine.isEmpty else { return }
        let line = partialLine
        partialLine = []
        take(line, forward)
    }

    /// Lets the answer go so far; what waited for it goes on now.
    mutating func raiseBudget(_ budget: TokenBudget, forward: (UnsafeRawBufferPointer) -> Void) {
        self.budget = budget
        guard isOverBudget else { return }
        let waiting = uncovered
        uncovered = []
        waiting.withUnsafeBytes { feed($0, forward: forward) }
        if hasEnded { finish(forward: forward) }
    }

    /// Takes what arrived and hands on, in order, what may go to the caller now.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, forward: (UnsafeRawBufferPointer) -> Void) {
        guard !isBroken else { return }
        guard !isOverBudget else { return uncovered.append(contentsOf: bytes) }
        var rest = bytes
        if !partialLine.isEmpty {
            guard let end = Self.lineEnd(in: rest) else { return keepPartial(rest) }
            partialLine.append(contentsOf: rest[..<end])
            rest = UnsafeRawBufferPointer(rebasing: rest[end...])
            let line = partialLine
            partialLine.removeAll(keepingCapacity: true)
            take(line, forward)
            guard !isOverBudget else { return uncovered.append(contentsOf: rest) }
        }
        // Lines that go on are forwarded together: `unsent` is where they begin.
        var unsent = 0
        var at = 0
        while let length = Self.lineEnd(in: UnsafeRawBufferPointer(rebasing: rest[at...])) {
            let line = UnsafeRawBufferPointer(rebasing: rest[at..<at + length])
            let fate = read(line: line)
            if fate != .goesOn {
                if at > unsent { forward(UnsafeRawBufferPointer(rebasing: rest[unsent..<at])) }
                unsent = at + length
            }
            guard fate != .isOverBudget else { return uncovered.append(contentsOf: rest[at...]) }
            at += length
        }
        if at > unsent { forward(UnsafeRawBufferPointer(rebasing: rest[unsent..<at])) }
        if at < rest.count { keepPartial(UnsafeRawBufferPointer(rebasing: rest[at...])) }
    }

    private mutating func take(_ line: [UInt8], _ forward: (UnsafeRawBufferPointer) -> Void) {
        switch line.withUnsafeBytes({ read(line: $0) }) {
        case .goesOn: line.withUnsafeBytes(forward)
        case .isHeldBack: break
        case .isOverBudget: uncovered = line
        }
    }

    private mutating func keepPartial(_ bytes: UnsafeRawBufferPointer) {
        partialLine.append(contentsOf: bytes)
        guard partialLine.count > Self.lineBytesMax else { return }
        isBroken = true
        partialLine = []
    }

    private static func lineEnd(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let newline = memchr(base, 0x0A, bytes.count) else { return nil }
        return UnsafeRawPointer(newline) - base + 1
    }

    private enum Fate {
        case goesOn
        /// Kept back until the end, or dropped.
        case isHeldBack
        /// Not counted yet: the event is read again.
        case isOverBudget
    }

    /// Reads one whole line, its end included.
    private mutating func read(line: UnsafeRawBufferPointer) -> Fate {
        if line.count <= 2, line.allSatisfy({ $0 == 0x0A || $0 == 0x0D }) {
            defer { withholdsBlankLine = false }
            return withholdsBlankLine ? .isHeldBack : .goesOn
        }
        withholdsBlankLine = false
        guard let data = Self.data(of: line) else { return .goesOn }
        if data.starts(with: "[DONE]".utf8) {
            isDone = true
            withholdsBlankLine = true
            return .isHeldBack
        }
        return read(event: data)
    }

    private static func data(of line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard line.starts(with: "data:".utf8) else { return nil }
        var start = 5
        if start < line.count, line[start] == 0x20 { start += 1 }
        var end = line.count
        while end > start, line[end - 1] == 0x0A || line[end - 1] == 0x0D { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: line[start..<end])
    }

    private mutating func read(event data: UnsafeRawBufferPointer) -> Fate {
        var next = count
        var carriesUsage = false
        var carriesChoices = false
        JSONScan(data).forEachMember { name, value in
            if name.elementsEqual("usage".utf8), let usage = TokenUsage(value) {
                next.usage = usage
                carriesUsage = true
            } else if name.elementsEqual("choices".utf8) {
                value.forEachElement { choice in
                    carriesChoices = true
                    next.add(choice)
                    return true
                }
            }
            return true
        }
        if carriesUsage { next.contentEventsAtUsage = next.contentEvents }
        let hasContent = next.contentEvents > count.contentEvents
        guard !hasContent || next.outputTokens(countingEventsOnly: budget.countsEventsOnly) <= budget.outputTokens else {
            return .isOverBudget
        }
        count = next
        guard carriesUsage, !carriesChoices else { return .goesOn }
        usageEvent = Array(data)
        withholdsBlankLine = true
        return .isHeldBack
    }
}

extension StreamMeter.Count {
    fileprivate mutating func add(_ choice: JSONScan) {
        guard let delta = choice["delta"] else { return }
        var bytes = 0
        delta.forEachMember { name, value in
            if !name.elementsEqual("role".utf8) { bytes += ResponseUsage.contentBytes(ofValue: value.bytes) }
            return true
        }
        guard bytes > 0 else { return }
        contentEvents += 1
        contentBytes += Int64(bytes)
    }
}

extension TokenUsage {
    /// More than the longest answers a request may ask for: who reports it does not know what was used.
    static let reportedMax: Int64 = 10_000_000 * ChatRequest.choicesMax

    /// The `usage` member of an OpenAI-shaped answer; nil when it is null, says nothing, or nothing that can be.
    init?(_ usage: JSONScan) {
        guard usage.isObject else { return nil }
        let prompt = usage["prompt_tokens"]?.integer
        let completion = usage["completion_tokens"]?.integer
        let possible = 0...Self.reportedMax
        guard prompt != nil || completion != nil, possible.contains(prompt ?? 0), possible.contains(completion ?? 0) else { return nil }
        self.init(promptTokens: prompt ?? 0, completionTokens: completion ?? 0)
    }

    /// Returns the usage with an estimate of the prompt, if the provider counts output but no
    /// prompt. No output comes without a prompt.
    func withPrompt(_ likely: @autoclosure () -> Int64) -> (usage: TokenUsage, isEstimated: Bool) {
        guard promptTokens == 0, completionTokens > 0 else { return (self, false) }
        return (TokenUsage(promptTokens: likely(), completionTokens: completionTokens), true)
    }
}
