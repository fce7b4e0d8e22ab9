import HTTPWire
import JSON

/// The shape of a refusal on the wire. A row names one.
package enum ErrorShape: String, Sendable, CaseIterable {
    /// `{"error":{"message","type","code","param",…}}`. The four members are always there.
    case openAI = "OpenAI"
    /// `{"type":"error","error":{"type","message","code","param",…},"request_id"}`: see
    /// ``Problem/anthropicBody(requestID:)``.
    case anthropic = "Anthropic"
    /// The envelope of trpc.io: see ``TRPCError``.
    case trpc = "tRPC"
    /// `{"error","error_description"}` (RFC 6749 §5.2).
    case oauth = "OAuth"
    /// A page for people, which the door makes: see ``HTTPDoor/page(for:to:)``.
    case page = "HTML"
    /// A page for a GET and for a form, and OpenAI's envelope for any other body: a path for people and
    /// programs.
    case pageOrOpenAI = "HTML, OpenAI"
}

extension Problem {
    /// The error object in OpenAI's envelope.
    package var body: [UInt8] {
        JSONWriter.object { json in
            json.object("error") { json in
                json.field("message", message)
                json.field("type", code.type)
                writeDetails(to: &json)
            }
        }
    }

    /// Writes the members of the error object that all shapes of JSON share.
    func writeDetails(to json: inout JSONWriter) {
        json.field("code", code.rawValue)
        json.field("param", param)
        for (name, value) in fields {
            switch value {
            case .text(let text): json.field(name, text)
            case .integer(let number): json.field(name, number)
            case .number(let text): json.field(name, raw: Array(text.utf8))
            case .bool(let flag): json.field(name, flag)
            }
        }
    }

    /// The answer in OpenAI's shape.
    package var response: Response {
        var headers = headers
        headers.add("content-type", "application/json")
        return Response(status: status, headers: headers, body: body)
    }
}
