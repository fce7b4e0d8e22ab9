import HTTPWire

/// The encoder of one answer: its head and the framing of its body (RFC 9112).
struct AnswerEncoder {
    enum Framing {
        case none
        case chunked
        /// The end of the connection ends the body, because an HTTP/1.0 client knows no chunks.
        case untilClose
    }

    /// The version of the request.
    var isHTTP11 = true
    /// True if the connection stays open after the answer.
    var keepsAlive = true
    /// The framing of the body that is being written.
    private(set) var framing = Framing.none

    /// Encodes an answer in one piece.
    /// - Parameter commons: the fields of every answer, with the line of the date.
    func encode(
        _ status: Int, _ commons: (date: [UInt8], headers: HeaderBlock), _ headers: HeaderBlock, body: UnsafeRawBufferPointer,
        isHead: Bool, to output: inout [UInt8]
    ) {
        encodeHead(status, commons, headers, to: &output)
        if Status.hasBody(status) {
            output.append("content-length: ")
            output.append(decimal: body.count)
            output.append("\r\n\r\n")
            if !isHead { output.append(contentsOf: body) }
        } else {
            output.append("\r\n")
        }
    }

    /// Encodes the head of an answer whose body comes in pieces.
    mutating func begin(
        _ status: Int, _ commons: (date: [UInt8], headers: HeaderBlock), _ headers: HeaderBlock, isHead: Bool, to output: inout [UInt8]
    ) {
        let hasBody = Status.hasBody(status)
        if hasBody, !isHTTP11 { keepsAlive = false }
        encodeHead(status, commons, headers, to: &output)
        if !hasBody {
            framing = .none
        } else if isHTTP11 {
            output.append("transfer-encoding: chunked\r\n")
            framing = isHead ? .none : .chunked
        } else {
            framing = isHead ? .none : .untilClose
        }
        output.append("\r\n")
    }

    private func encodeHead(
        _ status: Int, _ commons: (date: [UInt8], headers: HeaderBlock), _ headers: HeaderBlock, to output: inout [UInt8]
    ) {
        output.append("HTTP/1.1 ")
        output.append(decimal: status)
        output.append(" ")
        output.append(Status.reason(status))
        output.append("\r\n")
        output.append(contentsOf: commons.date)
        commons.headers.writeEndToEnd(to: &output)
        headers.writeEndToEnd(to: &output)
        if !keepsAlive {
            output.append("connection: close\r\n")
        } else if !isHTTP11 {
            output.append("connection: keep-alive\r\n")
        }
    }

    /// Encodes a piece of the body. The framing is not ``Framing/none``.
    func encode(piece: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        guard case .chunked = framing else { return output.append(contentsOf: piece) }
        output.append(hex: piece.count)
        output.append("\r\n")
        output.append(contentsOf: piece)
        output.append("\r\n")
    }

    /// Ends the body.
    /// - Returns: true if bytes of `output` end it.
    mutating func end(to output: inout [UInt8]) -> Bool {
        defer { framing = .none }
        guard case .chunked = framing else { return false }
        output.append("0\r\n\r\n")
        return true
    }
}
