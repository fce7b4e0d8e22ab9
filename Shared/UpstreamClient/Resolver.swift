import EventLoop

/// The addresses of one origin, remembered for 30 seconds.
final class Resolver: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.

    private let loop: EventLoop
    private let origin: Origin
    private let isNumeric: Bool
    private var known: [SocketAddress]
    private var expires = MonotonicInstant(nanoseconds: 0)
    private var waiting: [(Result<[SocketAddress], UpstreamError>) -> Void] = []

    init(loop: EventLoop, origin: Origin) {
        self.loop = loop
        self.origin = origin
        known = HostLookup.address(origin.host, port: origin.port).map { [$0] } ?? []
        isNumeric = !known.isEmpty
    }

    /// Answers at once when the addresses are known; otherwise later, on the loop, after at most `limit`.
    func addresses(within limit: Duration, _ answer: @escaping (Result<[SocketAddress], UpstreamError>) -> Void) {
        if isNumeric || loop.now < expires { return answer(.success(known)) }
        waiting.append(answer)
        guard waiting.count == 1 else { return }
        Task(executorPreference: loop) { await self.lookUp(within: limit) }
    }

    private func lookUp(within limit: Duration) async {
        do {
            known = try await HostLookup.addresses(of: origin.host, port: origin.port, within: limit, on: loop)
            expires = loop.now + .seconds(30)
            finish(.success(known))
        } catch {
            let isTimeout = (error as? HostLookup.Failure)?.isTimeout ?? false
            // The last addresses serve while a name server is unavailable.
            finish(known.isEmpty ? .failure(UpstreamError(isTimeout ? .timedOut(.connect) : .connectFailed, "\(error)")) : .success(known))
        }
    }

    private func finish(_ result: Result<[SocketAddress], UpstreamError>) {
        let answers = waiting
        waiting = []
        for answer in answers { answer(result) }
    }
}
