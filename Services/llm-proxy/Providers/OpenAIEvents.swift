import JSON
import SSE

/// The reader of an OpenAI-compatible stream. Events pass through unchanged; the usage chunk and the
/// end marker are held back, because the client sees them only when the charge is safe.
struct OpenAIEvents: EventReader {
    private let context: AnswerContext
    private var isDone = false

    init(_ context: AnswerContext) { self.context = context }

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone else { return StreamEvent(output: .nothing) }
        if event.name.elementsEqual("error".utf8) { return .failed(.failedMidStream) }
        guard let data = event.data else { return StreamEvent() }
        if data.starts(with: "[DONE]".utf8) {
            isDone = true
            return StreamEvent(output: .nothing, isEnd: true)
        }
        var read = StreamEvent()
        var hasChoices = false
        JSONScan(data).forEachMember { name, value in
            // Most members have another length, so most names are not compared.
            switch name.count {
            case 7 where name.elementsEqual("choices".utf8):
                value.forEachElement { choice in
                    hasChoices = true
                    note(choice, &read)
                    return true
                }
            case 5 where name.elementsEqual("usage".utf8): read.usage = Usage(openAI: value) ?? read.usage
            case 5 where name.elementsEqual("error".utf8) && !value.isNull: read.failure = ProviderFailure(.failedMidStream)
            default: break
            }
            return true
        }
        guard read.failure == nil else { return .failed(.failedMidStream) }
        if read.usage != nil { separateUsage(data, hasChoices: hasChoices, &read) }
        return read
    }

    private func note(_ choice: JSONScan, _ read: inout StreamEvent) {
        if OpenAIContent.hasFailed(choice) { read.failure = ProviderFailure(.failedMidStream) }
        choice.forEachMember { name, value in
            if name.elementsEqual("delta".utf8) {
                let bytes = OpenAIContent.bytes(ofMessage: value)
                guard bytes > 0 else { return true }
                read.choicesWithContent += 1
                read.contentBytes += Int64(bytes)
            } else if name.elementsEqual("finish_reason".utf8), !value.isNull, context.choices == 1 {
                // Several choices finish one by one, so only the end marker ends them all.
                read.isEnd = true
            }
            return true
        }
    }

    /// Holds the usage back. Some servers report it together with content: a client that did not ask
    /// for usage gets the event without it.
    private func separateUsage(_ data: UnsafeRawBufferPointer, hasChoices: Bool, _ read: inout StreamEvent) {
        guard hasChoices else {
            (read.output, read.usageChunk) = (.nothing, Array(data))
            return
        }
        guard let json = try? JSONObject(Array(data)) else { return }
        if context.includeUsage {
            var chunk = JSONSplice(json)
            chunk.set("choices", raw: Array("[]".utf8))
            read.usageChunk = chunk.apply()
        } else {
            var event = JSONSplice(json)
            event.remove("usage")
            read.output = .instead(Array("data: ".utf8) + event.apply() + Array("\n\n".utf8))
        }
    }
}
