import JSON
import SSE
import Text

/// The reader of an OpenAI-compatible stream. Events pass through unchanged; the usage chunk and the
/// end marker are held back, because the client sees them only when the charge is safe.
struct OpenAIEvents: EventReader {
    private let context: AnswerContext
    private var isDone = false

    init(_ context: AnswerContext) { self.context = context }

    mutating func read(_ event: SSEEvent) -> StreamEvent {
        guard !isDone else { return StreamEvent(output: .nothing) }
        if "error" ~= event.name { return .failed(.failedMidStream) }
        // A comment or an empty event tells a client nothing. The endpoint writes comments of its own.
        guard let data = event.data, !data.isEmpty else { return StreamEvent(output: .nothing) }
        if data.starts(with: "[DONE]".utf8) {
            isDone = true
            return StreamEvent(output: .nothing, isEnd: true)
        }
        let chunk = JSONScan(data)
        guard chunk.isObject else { return .failed(.wrongAnswer("with an event that is no JSON object")) }
        var read = StreamEvent()
        var hasChoices = false
        chunk.forEachMember { name, value in
            switch name {
            case "choices":
                value.forEachElement { choice in
                    hasChoices = true
                    note(OpenAIChoice(choice), &read)
                    return true
                }
            case "usage": read.usage = Usage(openAI: value) ?? read.usage
            case "error" where !value.isNull: read.failure = ProviderFailure(.failedMidStream)
            default: break
            }
            return true
        }
        guard read.failure == nil else { return .failed(.failedMidStream) }
        if read.usage != nil {
            read.usage?.take(tier: JSONScan(data)["service_tier"])
            separateUsage(data, hasChoices: hasChoices, &read)
        }
        return read
    }

    private func note(_ choice: OpenAIChoice, _ read: inout StreamEvent) {
        if choice.hasFailed { read.failure = ProviderFailure(.failedMidStream) }
        // Several choices finish one by one, so only the end marker ends them all.
        if choice.isFinished, context.choices == 1 { read.isEnd = true }
        guard choice.contentBytes > 0 else { return }
        read.choicesWithContent += 1
        read.contentBytes += Int64(choice.contentBytes)
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
            read.output = .instead(SSEEvent.encode(event.apply()))
        }
    }
}
