import Glibc
import JSON

/// Reads a provider's event stream as it passes through, cut anywhere, and holds back its end.
///
/// Whole lines go on at once; the usage event and `[DONE]` stay here until the charge is safe, so that a caller who saw the end
/// of an answer knows that it is paid for. What was delivered is counted for the case that usage never arrives.
struct StreamMeter {
    /// As the provider reported it, in whichever event came last.
    private(set) var usage: TokenUsage?
    /// The provider said that the answer is whole.
    private(set) var isDone = false
    /// The event that carries nothing but usage, without its line end; for callers who asked for it.
    private(set) var usageEvent: [UInt8]?
    /// Events with content, and its bytes: text, tool calls, reasoning.
    private(set) var contentEvents: Int64 = 0
    private(set) var contentBytes: Int64 = 0

    /// How much of the content the last word on usage can speak of.
    private var contentEventsAtUsage: Int64 = 0
    private var partialLine: [UInt8] = []
    private var withholdsBlankLine = false

    /// Longer than any event a provider sends; a longer line is passed on unread.
    static let lineBytesMax = 1 << 20

    /// Tokens delivered, for an answer whose usage never came: one an event at least, and one for four bytes at least.
    var outputTokensDelivered: Int64 { max(contentEvents, (contentBytes + 3) / 4) }

    /// What is charged so far: as the provider says, if it speaks of all that was delivered and does not call content nothing; else
    /// as counted.
    /// - Parameter promptTokens: the estimate, for a provider that does not say.
    func delivered(promptTokens: Int64) -> (usage: TokenUsage, isEstimated: Bool) {
        if let usage, contentEventsAtUsage == contentEvents, usage.completionTokens > 0 || contentEvents == 0 { return (usage, false) }
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
        guard !partialLine.isEmpty else { return }
        let line = partialLine
        partialLine = []
        line.withUnsafeBytes { if !withholds(line: $0) { forward($0) } }
    }

    /// Takes what arrived and hands on, in order, what may go to the caller now.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, forward: (UnsafeRawBufferPointer) -> Void) {
        var rest = bytes
        if !partialLine.isEmpty {
            guard let end = Self.lineEnd(in: rest) else { return keepPartial(rest, forward) }
            partialLine.append(contentsOf: rest[..<end])
            rest = UnsafeRawBufferPointer(rebasing: rest[end...])
            let line = partialLine
            partialLine.removeAll(keepingCapacity: true)
            line.withUnsafeBytes { if !withholds(line: $0) { forward($0) } }
        }
        // Lines that go on are forwarded together: `unsent` is where they begin.
        var unsent = 0
        var at = 0
        while let length = Self.lineEnd(in: UnsafeRawBufferPointer(rebasing: rest[at...])) {
            let line = UnsafeRawBufferPointer(rebasing: rest[at..<at + length])
            if withholds(line: line) {
                if at > unsent { forward(UnsafeRawBufferPointer(rebasing: rest[unsent..<at])) }
                unsent = at + length
            }
            at += length
        }
        if at > unsent { forward(UnsafeRawBufferPointer(rebasing: rest[unsent..<at])) }
        if at < rest.count { keepPartial(UnsafeRawBufferPointer(rebasing: rest[at...]), forward) }
    }

    private mutating func keepPartial(_ bytes: UnsafeRawBufferPointer, _ forward: (UnsafeRawBufferPointer) -> Void) {
        partialLine.append(contentsOf: bytes)
        guard partialLine.count > Self.lineBytesMax else { return }
        partialLine.withUnsafeBytes(forward)
        partialLine.removeAll(keepingCapacity: false)
    }

    private static func lineEnd(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let newline = memchr(base, 0x0A, bytes.count) else { return nil }
        return UnsafeRawPointer(newline) - base + 1
    }

    /// Reads one whole line, its end included.
    private mutating func withholds(line: UnsafeRawBufferPointer) -> Bool {
        if line.count <= 2, line.allSatisfy({ $0 == 0x0A || $0 == 0x0D }) {
            defer { withholdsBlankLine = false }
            return withholdsBlankLine
        }
        withholdsBlankLine = false
        guard let data = Self.data(of: line) else { return false }
        if data.starts(with: "[DONE]".utf8) {
            isDone = true
            withholdsBlankLine = true
            return true
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

    private mutating func read(event data: UnsafeRawBufferPointer) -> Bool {
        var carriesUsage = false
        var carriesChoices = false
        JSONScan(data).forEachMember { name, value in
            if name.elementsEqual("usage".utf8), let usage = TokenUsage(value) {
                self.usage = usage
                carriesUsage = true
            } else if name.elementsEqual("choices".utf8), let choice = value.firstElement {
                carriesChoices = true
                count(choice)
            }
            return true
        }
        if carriesUsage { contentEventsAtUsage = contentEvents }
        guard carriesUsage, !carriesChoices else { return false }
        usageEvent = Array(data)
        withholdsBlankLine = true
        return true
    }

    private mutating func count(_ choice: JSONScan) {
        guard let delta = choice["delta"] else { return }
        var bytes = 0
        delta.forEachMember { name, value in
            // A string's quotes are not content; an empty one is none.
            if !name.elementsEqual("role".utf8), !value.isNull {
                bytes += value.bytes.first == 0x22 ? value.bytes.count - 2 : value.bytes.count
            }
            return true
        }
        guard bytes > 0 else { return }
        contentEvents += 1
        contentBytes += Int64(bytes)
    }
}

extension TokenUsage {
    /// More than the longest answers a request may ask for: who reports it does not know what was used.
    static let reportedMax: Int64 = 10_000_000 * ChatRequest.answersMax

    /// The `usage` member of an OpenAI-shaped answer; nil when it is null, says nothing, or nothing that can be.
    init?(_ usage: JSONScan) {
        guard usage.isObject else { return nil }
        let prompt = usage["prompt_tokens"]?.integer
        let completion = usage["completion_tokens"]?.integer
        let possible = 0...Self.reportedMax
        guard prompt != nil || completion != nil, possible.contains(prompt ?? 0), possible.contains(completion ?? 0) else { return nil }
        self.init(promptTokens: prompt ?? 0, completionTokens: completion ?? 0)
    }
}
