/// The state of one client's connection.
enum ConnectionPhase {
    /// Waiting for a request, or in the middle of one.
    case reading
    /// A check of the caller must end before the body is read.
    case admitting
    /// A handler owns the exchange.
    case answering
    /// The answer has ended but waits for the client; the next request waits for that.
    case flushing
    /// The last answer is on its way out; nothing more is read.
    case closing
    /// We have said our last; what the client still sends is thrown away, so that no reset overtakes our answer.
    case lingering
    case closed
}
