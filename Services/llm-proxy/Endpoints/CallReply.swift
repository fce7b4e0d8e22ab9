import HTTP
import HTTPWire

/// The end of a call's answer, for each client that waits for it.
enum CallReply: Sendable {
    /// The clients have left.
    case nothing
    case refused(Problem)
    case whole(HeaderBlock, [UInt8])
    /// The last events of a stream.
    case endOfStream([UInt8])
    /// The last event of a stream that no reader may take for the whole answer.
    case brokenStream([UInt8])
    /// The same, of a call that may have been charged: the refusal, or the last event of a stream.
    case unconfirmed(Problem, event: [UInt8]?)

    /// - Throws: the refusal. The error shape of the route encodes it.
    func send(to exchange: Exchange) throws(Problem) {
        switch self {
        case .nothing: break
        case .refused(let problem): throw problem
        case .whole(let headers, let body): exchange.respond(200, headers: headers, body: body)
        case .endOfStream(let events):
            exchange.write(events)
            exchange.end()
        case .unconfirmed(let problem, nil): throw problem
        case .brokenStream(let events), .unconfirmed(_, let events?):
            exchange.write(events)
            exchange.abort()
        }
    }
}
