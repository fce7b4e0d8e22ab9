import HTTPWire
import JSON

extension ErrorCode {
    /// Anthropic's type of the error.
    var anthropicType: String {
        switch status {
        case 401: "authentication_error"
        case 402: "billing_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 408, 504: "timeout_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 503: "overloaded_error"
        case 500...: "api_error"
        default: "invalid_request_error"
        }
    }
}

extension Problem {
    /// The error in the shape of Anthropic's Messages API, with our own code as a further member.
    /// - Parameter requestID: the id of the request. An event of a stream has none.
    package func anthropicBody(requestID: String? = nil) -> [UInt8] {
        JSONWriter.object { json in
            json.field("type", "error")
            json.object("error") { json in
                json.field("type", code.anthropicType)
                json.field("message", message)
                writeDetails(to: &json)
            }
            if let requestID { json.field("request_id", requestID) }
        }
    }

    func anthropicResponse(to exchange: Exchange) -> Response {
        var headers = headers
        headers.add("content-type", "application/json")
        let requestID = exchange.commonHeaders.string(for: RequestID.header)
        return Response(status: status, headers: headers, body: anthropicBody(requestID: requestID))
    }
}
