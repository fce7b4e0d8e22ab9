import Testing

@testable import LLMProxy

/// The requests and answers of one surface, for rules that hold on each.
struct SurfaceScript: Sendable, CustomTestStringConvertible {
    let surface: Surface

    /// The surfaces of text. Those of media have tests of their own.
    static let all = [Surface.chat, .messages, .responses, .embeddings, .completions].map(SurfaceScript.init)
    /// The surfaces whose answers can be streams.
    static let streaming = all.filter { $0.surface != .embeddings }

    var testDescription: String { surface.rawValue }
    /// The name of the unit that an answer of text is measured in.
    var hasOutput: Bool { surface != .embeddings }

    /// - Parameter more: further members of the body: `,"n":2`.
    func body(_ more: String = "", model: String = "priced", stream: Bool = false) -> String {
        let prompt =
            switch surface {
            case .chat: #""messages":[{"role":"user","content":"Say something."}]"#
            case .messages: #""max_tokens":4000,"messages":[{"role":"user","content":"Say something."}]"#
            case .responses: #""input":"Say something.""#
            case .embeddings: #""input":["Say","something."]"#
            default: #""prompt":"Say something.""#
            }
        let model = surface == .messages && model == "priced" ? "claude" : model
        return #"{"model":"\#(model)",\#(stream ? #""stream":true,"# : "")\#(prompt)\#(more)}"#
    }

    /// A member that the gateway does not read. Anthropic's surface refuses unknown ones.
    var passed: String { surface == .messages ? "temperature" : "extra" }

    // MARK: In one piece

    /// An answer of a prompt of 9 tokens and, where there is output, of 5 tokens.
    var answer: String { answer(usage: true) }
    /// An answer of 8 bytes of text without usage.
    var answerWithoutUsage: String { answer(usage: false) }

    private func answer(usage: Bool) -> String {
        let usage = usage ? "," + self.usage(5) : ""
        return switch surface {
        case .chat: #"{"choices":[{"message":{"content":"12345678"}}]\#(usage)}"#
        case .messages: #"{"type":"message","content":[{"type":"text","text":"12345678"}],"stop_reason":"end_turn"\#(usage)}"#
        case .responses:
            #"{"status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"12345678"}]}]\#(usage)}"#
        case .embeddings: #"{"data":[{"embedding":[1]}]\#(usage)}"#
        default: #"{"choices":[{"text":"12345678"}]\#(usage)}"#
        }
    }

    /// An answer without any content.
    var emptyAnswer: String {
        switch surface {
        case .messages: #"{"type":"message","content":[]}"#
        case .responses: #"{"output":[]}"#
        case .embeddings: #"{"data":[],"usage":{"prompt_tokens":9}}"#
        default: #"{"choices":[]}"#
        }
    }

    private func usage(_ output: Int) -> String {
        switch surface {
        case .messages: #""usage":{"input_tokens":9,"output_tokens":\#(output)}"#
        case .responses: #""usage":{"input_tokens":9,"output_tokens":\#(output),"total_tokens":\#(9 + output)}"#
        case .embeddings: #""usage":{"prompt_tokens":9,"total_tokens":9}"#
        default: #""usage":{"prompt_tokens":9,"completion_tokens":\#(output),"total_tokens":\#(9 + output)}"#
        }
    }

    // MARK: As events

    /// Events of a token each.
    func events(_ tokens: Int) -> String {
        switch surface {
        case .chat: String(repeating: #"data: {"choices":[{"index":0,"delta":{"content":"x"}}]}"# + "\n\n", count: tokens)
        case .completions: String(repeating: #"data: {"choices":[{"index":0,"text":"x"}]}"# + "\n\n", count: tokens)
        case .messages:
            (0..<tokens).map { _ in
                named("content_block_delta", #""index":0,"delta":{"type":"text_delta","text":"x"}"#)
            }.joined()
        case .responses:
            (0..<tokens).map {
                named("response.output_text.delta", #""sequence_number":\#($0),"item_id":"i","content_index":0,"delta":"x""#)
            }.joined()
        default: ""
        }
    }

    /// The events of a whole answer's end.
    /// - Parameter tokens: the output tokens; nil: no usage.
    func end(_ tokens: Int?) -> String {
        switch surface {
        case .chat, .completions: (tokens.map { "data: {\"choices\":[],\(usage($0))}\n\n" } ?? "") + "data: [DONE]\n\n"
        case .messages:
            named("message_delta", #""delta":{"stop_reason":"end_turn"}"# + (tokens.map { "," + usage($0) } ?? ""))
                + named("message_stop", #""x":0"#)
        case .responses:
            named("response.output_text.done", #""sequence_number":97,"text":"a text that counts nothing""#)
                + named(
                    "response.completed",
                    #""sequence_number":98,"response":{"id":"r","status":"completed","error":null,\#(tokens.map(usage) ?? #""usage":null"#)}"#
                )
        default: ""
        }
    }

    /// An event in which the provider reports an error.
    var errorEvent: String {
        switch surface {
        case .chat, .completions: #"data: {"error":{"message":"key sk-secret"}}"# + "\n\n"
        case .messages: named("error", #""error":{"type":"overloaded_error","message":"key sk-secret"}"#)
        case .responses: named("response.failed", #""response":{"status":"failed","error":{"message":"key sk-secret"}}"#)
        default: ""
        }
    }

    /// The text that only the end of a whole stream has.
    var endMark: String {
        switch surface {
        case .messages: "message_stop"
        case .responses: "response.completed"
        default: "[DONE]"
        }
    }

    private func named(_ type: String, _ members: String) -> String {
        "event: \(type)\n" + #"data: {"type":"\#(type)",\#(members)}"# + "\n\n"
    }
}
