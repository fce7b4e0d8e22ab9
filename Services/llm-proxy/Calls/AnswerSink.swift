import Values

/// The place where the bytes of an answer go: the client's connection. Confined to the call's loop.
protocol AnswerSink: AnyObject {
    /// True if the client has left.
    var isClosed: Bool { get }
    /// True if more bytes wait for the client than it reads. ``onDrain`` follows.
    var isBackpressured: Bool { get }
    /// Called when the client leaves before the answer has ended. A client that repeats the call may come
    /// and leave after that.
    var onClose: (() -> Void)? { get set }
    /// Called when a client comes that repeats the call of one that has left.
    var onReturn: (() -> Void)? { get set }
    var onDrain: (() -> Void)? { get set }
    /// Calls `action` when the process stops, also after the client has left.
    func whenServerStops(_ action: @escaping () -> Void)

    /// Takes the id of the charge, before anything else.
    func take(_ charge: ChargeID)
    /// Frees the request: the provider has it, and the call needs nothing more of it.
    func dropRequest()
    /// Begins a stream.
    func begin(_ head: StreamHead)
    func write(_ bytes: UnsafeRawBufferPointer)
    /// Ends the part of the stream that the provider sends. The endpoint ends the stream itself.
    func providerEnded()
}

/// The facts that a client learns before the first byte of a stream.
struct StreamHead: Sendable {
    var provider: String
    /// The limit of the answer, if it is below the client's.
    var maxTokensClamped: Int64?
    /// The media type of an answer that is no events. Its cost is known before it begins.
    var binary: (mediaType: String, receipt: CallReceipt)?
}
