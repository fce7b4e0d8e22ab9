import EventLoop
import HTTP
import HTTPWire
import JSON
import TestSupport

/// Streams what the test sends.
final class ScriptedProvider: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    private(set) var calls: [ScriptedCall] = []
    var port = 0
    /// Answers each further call, if it is set.
    var onCall: ((ScriptedCall) -> Void)?

    var router: Router {
        var router = Router()
        for path in [
            "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/messages", "/v1/messages/count_tokens",
            "/v1/images/generations",
            "/v1/audio/speech", "/v1/images/edits", "/v1/audio/transcriptions", "/spare/chat/completions",
        ] {
            router.onExchange(.post, path) { exchange, _ in await self.take(exchange) }
        }
        for (method, path) in [
            (Method.post, "/v1/videos"), (.get, "/v1/videos/{id}"), (.get, "/v1/videos/{id}/content"), (.delete, "/v1/videos/{id}"),
        ] {
            router.onExchange(method, path) { exchange, _ in await self.take(exchange) }
        }
        return router
    }

    private func take(_ exchange: Exchange) async {
        let call = ScriptedCall(exchange)
        calls.append(call)
        onCall?(call)
        await call.ended()
    }
}

final class ScriptedCall: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    let body: JSONObject?
    let path: String
    /// The body as it came.
    let bytes: [UInt8]
    var headers: HeaderBlock { exchange.headers }
    private let exchange: Exchange
    private let over = Promise<Void>(on: TestDatabase.loop)

    init(_ exchange: Exchange) {
        self.exchange = exchange
        bytes = exchange.body
        body = try? JSONObject(bytes)
        path = exchange.path
        exchange.onClose = { [over] in over.succeed(()) }
    }

    var isCancelled: Bool { exchange.isClosed }

    /// Events with the texts, in one piece: what is sent at once may be read at once.
    func send(_ texts: [String], thenEnd usage: Int? = nil) {
        var events = texts.map { #"data: {"choices":[{"index":0,"delta":{"content":"\#($0)"}}]}"# + "\n\n" }.joined()
        if let usage {
            events += #"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":\#(usage),"total_tokens":9}}"# + "\n\n"
            events += "data: [DONE]\n\n"
        }
        if exchange.status == 0 { exchange.begin(200, headers: ["content-type": "text/event-stream"]) }
        exchange.write(Array(events.utf8))
        guard usage != nil else { return }
        exchange.end()
        over.succeed(())
    }

    /// Tokens of one event and one character each.
    func send(tokens: Int, thenEnd usage: Int? = nil) { send([String](repeating: "x", count: tokens), thenEnd: usage) }

    /// - Parameter type: the media type; nil for an answer without one.
    func answer(_ body: String, status: Int = 200, type: String? = "application/json", _ more: HeaderBlock = [:]) {
        var headers = more
        if let type { headers.add("content-type", type) }
        exchange.respond(status, headers: headers, body: Array(body.utf8))
        over.succeed(())
    }

    /// Sends the head of a stream, or of an answer in one piece that never ends.
    func begin(_ type: String = "text/event-stream") {
        var headers = HeaderBlock()
        headers.add("content-type", type)
        exchange.begin(200, headers: headers)
    }

    func write(_ text: String) { exchange.write(Array(text.utf8)) }

    /// Ends a stream without usage.
    func finish() {
        write("data: [DONE]\n\n")
        exchange.end()
        over.succeed(())
    }

    /// Ends the answer properly, without an end marker.
    func end() {
        exchange.end()
        over.succeed(())
    }

    /// Closes the connection without an answer.
    func breakOff() {
        exchange.abort()
        over.succeed(())
    }

    /// Closes the answer before it is whole.
    func die() {
        if exchange.status == 0 { exchange.begin(200, headers: ["content-type": "application/json"]) }
        exchange.abort()
        over.succeed(())
    }

    func ended() async { try? await over.value() }
}
