import HTTP
import HTTPWire

/// The shape of one surface: it reads requests, and writes answers, the end of a stream and errors.
/// A surface is one type in a file of its own.
protocol CallShape: Sendable {
    /// - Throws: a flaw of the request by the name of its member.
    func read(_ body: [UInt8]) throws(RequestRefusal) -> CallRequest

    /// True if requests are forms with files.
    var takesForms: Bool { get }

    /// Reads a request that came as a form. Only shapes whose route takes uploads have forms.
    /// - Throws: a flaw of the form by the name of its part.
    func read(_ form: CallForm) throws(RequestRefusal) -> CallRequest

    /// Returns the fields of a request that its provider may get too.
    func providerHeaders(_ headers: HeaderBlock) -> HeaderBlock

    /// Returns the body of an answer in one piece, with the credits that it cost.
    func body(of answer: WholeAnswer, _ receipt: CallReceipt) -> [UInt8]

    /// Returns the translator of a stream from the surface's events into others. Nil for none.
    func translator() -> (any StreamTranslator)?

    /// Returns the events that end a whole stream.
    /// - Parameters:
    ///   - usageChunk: the data of the provider's last event with usage, if it sent one.
    ///   - includeUsage: true if the client asked for usage.
    ///   - model: the model's name at the gateway.
    func end(_ usageChunk: [UInt8]?, _ receipt: CallReceipt, includeUsage: Bool, model: String) -> [UInt8]

    /// Returns the event that tells an error in a stream. No end marker follows it.
    func event(of problem: Problem) -> [UInt8]

    /// Returns the same event for a surface that numbers its events.
    /// - Parameter last: the number of the last event that the provider sent. Nil if it sent none.
    func event(of problem: Problem, after last: Int64?) -> [UInt8]
}

extension CallShape {
    func event(of problem: Problem, after last: Int64?) -> [UInt8] { event(of: problem) }
}

extension CallShape {
    var takesForms: Bool { false }

    func read(_ form: CallForm) throws(RequestRefusal) -> CallRequest {
        throw .invalid(param: "content-type", message: "content-type must be application/json.")
    }

    func translator() -> (any StreamTranslator)? { nil }
}

/// Turns the events of one stream into others, on their way to the client.
protocol StreamTranslator {
    mutating func translate(_ bytes: UnsafeRawBufferPointer) -> [UInt8]
}

extension CallShape {
    func providerHeaders(_ headers: HeaderBlock) -> HeaderBlock { [:] }
}
