package import HTTPWire
package import JSON

/// A whole answer, for handlers that have it in one piece.
package struct Response: Sendable {
    package var status: Int
    package var headers: HeaderBlock
    package var body: [UInt8]
    /// Instead of `body`; see ``stream(_:headers:_:)``.
    package private(set) var stream: (@Sendable (BodyWriter) async throws -> Void)?

    package init(status: Int, headers: HeaderBlock = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// `write` writes one value: `.json(200) { $0.object { $0.field("id", id) } }`.
    package static func json(_ status: Int, headers: HeaderBlock = [:], _ write: (inout JSONWriter) -> Void) -> Response {
        var writer = JSONWriter()
        write(&writer)
        var headers = headers
        headers.add("content-type", "application/json")
        return Response(status: status, headers: headers, body: writer.bytes)
    }

    /// A JSON object; `write` writes its members.
    package static func object(_ status: Int, headers: HeaderBlock = [:], _ write: (inout JSONWriter) -> Void) -> Response {
        json(status, headers: headers) { $0.object(write) }
    }

    package static func text(_ status: Int, _ text: String) -> Response {
        Response(status: status, headers: ["content-type": "text/plain; charset=utf-8"], body: Array(text.utf8))
    }

    /// An answer of any length: `makeBody` runs once the head is sent, not for HEAD. When it throws, the connection is broken, so that
    /// no reader takes the part for the whole.
    package static func stream(
        _ status: Int, headers: HeaderBlock = [:], _ makeBody: @escaping @Sendable (BodyWriter) async throws -> Void
    ) -> Response {
        var response = Response(status: status, headers: headers)
        response.stream = makeBody
        return response
    }

    package static var noContent: Response { Response(status: 204) }

    package static func problem(_ problem: Problem) -> Response { problem.response }
}

extension Exchange {
    package func respond(_ response: Response) {
        precondition(response.stream == nil, "a streamed answer is what a handler returns, not what it responds with")
        respond(response.status, headers: response.headers, body: response.body)
    }

    package func respond(_ problem: Problem) { respond(problem.response) }
}
