import EventLoop

/// The addresses of one origin, remembered for 30 seconds.
final class Resolver: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.

    private let loop: EventLoop
    private let origin: Origin
    private let lookup: HostLookup
    private let keepsFor: Duration
    private let permits: PermittedAddresses
    private let isNumeric: Bool
    private var known: [SocketAddress]
    /// The reason why the last look-up failed, if no addresses are known.
    private var failure: UpstreamError?
    private var expires = MonotonicInstant(nanoseconds: 0)

    /// The time for which known addresses serve after a look-up has failed.
    private static let staleFor = Duration.seconds(5)
    /// The time for which a failure is repeated if no addresses are known.
    private static let failureFor = Duration.seconds(1)

    init(
        loop: EventLoop, origin: Origin, lookup: HostLookup = .system, keepsFor: Duration = .seconds(30), permits: PermittedAddresses = .all
    ) {
        (self.loop, self.origin, self.lookup, self.keepsFor, self.permits) = (loop, origin, lookup, keepsFor, permits)
        known = permits.filter(HostLookup.address(origin.host, port: origin.port).map { [$0] } ?? [])
        isNumeric = !known.isEmpty
    }

    /// Answers at once when the addresses are known; otherwise later, on the loop, after at most `limit`.
    func addresses(within limit: Duration, _ answer: @escaping (Result<[SocketAddress], UpstreamError>) -> Void) {
        let isFresh = isNumeric || loop.now < expires
        if isFresh, !known.isEmpty { return answer(.success(known)) }
        // Confined to the loop, like the resolver.
        nonisolated(unsafe) let answer = answer
        Task(executorPreference: loop) { [self] in
            if !isFresh { await lookUp(within: limit) }
            answer(failure.map { .failure($0) } ?? .success(known))
        }
    }

    private func lookUp(within limit: Duration) async {
        // Half of the time is left for connecting to the last addresses.
        let limit = known.isEmpty ? limit : limit / 2
        do {
            let found = try await lookup.addresses(of: origin.host, port: origin.port, within: limit, on: loop)
            known = permits.filter(found)
            failure = known.isEmpty ? UpstreamError(.connectFailed, "\(origin.host) leads to addresses that are not permitted") : nil
            expires = loop.now + keepsFor
        } catch {
            // The last addresses serve while a name server is unavailable.
            guard known.isEmpty else { return expires = loop.now + Self.staleFor }
            let isTimeout = (error as? HostLookup.Failure)?.isTimeout ?? false
            failure = UpstreamError(isTimeout ? .timedOut(.connect) : .connectFailed, "\(error)")
            expires = loop.now + Self.failureFor
        }
    }
}
