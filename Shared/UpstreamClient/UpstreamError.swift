/// Why there is no answer, or not a whole one.
package struct UpstreamError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Stage: Hashable, Sendable {
        /// Name look-up, TCP and TLS together.
        case connect
        case firstByte
        /// Silence between two reads of an answer that has begun.
        case gap
    }

    package enum Code: Hashable, Sendable {
        case connectFailed
        /// No common TLS version, or a certificate that is not valid for the host.
        case tlsFailed(String)
        case timedOut(Stage)
        /// The connection ended before the answer did.
        case closedEarly
        /// The answer is not HTTP, or could be read in two ways.
        case malformed
        /// Longer than the limit given to ``UpstreamResponse/collect(upTo:)``.
        case tooLarge
        /// Ended by ``UpstreamResponse/cancel()``, the task's cancellation or the pool's end.
        case cancelled
        /// All connections are busy and the line is full, or the wait in it took too long.
        case saturated
    }

    package let code: Code
    package let detail: String

    package init(_ code: Code, _ detail: String = "") { (self.code, self.detail) = (code, detail) }

    package var description: String { detail.isEmpty ? "\(code)" : "\(code): \(detail)" }
}
