import HTTPWire

/// Takes the body of a ``Response/stream(_:headers:_:)`` piece by piece. Confined to the exchange's loop, like the handler that writes.
package struct BodyWriter: Sendable {
    private let exchange: Exchange

    init(_ exchange: Exchange) { self.exchange = exchange }

    /// Takes a copy, and returns when the client has taken enough to go on: at most the high-water mark and one piece wait in memory.
    /// - Throws: ``ClientGone`` once the client has hung up: what makes the body should stop.
    package func write(_ bytes: [UInt8]) async throws {
        exchange.write(bytes)
        guard try await exchange.drained() else { throw ClientGone() }
    }
}

package struct ClientGone: Error {}

extension Exchange {
    /// Answers with `response`; one whose body is made on the way is ended properly or, when making it fails, broken off.
    func send(_ response: Response) async {
        guard let makeBody = response.stream else { return respond(response) }
        begin(response.status, headers: response.headers)
        do {
            if method != .head { try await makeBody(BodyWriter(self)) }
            end()
        } catch {
            if !(error is ClientGone) { failure = error }
            abort()
        }
    }
}
