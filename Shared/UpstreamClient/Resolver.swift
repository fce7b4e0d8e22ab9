import EventLoop

/// The addresses of one origin, looked up on a thread of their own and remembered for 30 seconds.
final class Resolver: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.

    private let loop: EventLoop
    private let origin: Origin
    private let isNumeric: Bool
    private var known: [SocketAddress]
    private var expires = MonotonicInstant(nanoseconds: 0)
    private var waiting: [(Result<[SocketAddress], UpstreamError>) -> Void] = []

    /// Two threads a process: a name server that is away holds up look-ups, nothing else.
    private static let threads = BlockingPool(name: "resolver", threads: 2, queueMax: 256)

    init(loop: EventLoop, origin: Origin) {
        self.loop = loop
        self.origin = origin
        let numeric = try? SocketAddress.resolve(origin, numericOnly: true).get()
        isNumeric = numeric != nil
        known = numeric ?? []
    }

    /// Answers at once when the addresses are known; otherwise later, on the loop, after at most `limit`.
    func addresses(within limit: Duration, _ answer: @escaping (Result<[SocketAddress], UpstreamError>) -> Void) {
        if isNumeric || loop.now < expires { return answer(.success(known)) }
        waiting.append(answer)
        guard waiting.count == 1 else { return }
        Task(executorPreference: loop) { await self.lookUp(within: limit) }
    }

    private func lookUp(within limit: Duration) async {
        let found = Wait<[SocketAddress]>(on: loop)
        // A task of its own: a look-up cannot be interrupted, and the deadline must not wait for it.
        Task(executorPreference: loop) { [origin] in
            do {
                found.succeed(try await Self.threads.run { try SocketAddress.resolve(origin).get() })
            } catch {
                found.fail(error)
            }
        }
        do {
            known = try await found.value(within: limit, elseThrow: UpstreamError(.timedOut(.connect), "looking up \(self.origin.host)"))
            expires = loop.now + .seconds(30)
            finish(.success(known))
        } catch {
            let error = error as? UpstreamError ?? UpstreamError(.connectFailed, "too many name look-ups are waiting")
            // A name server that is away for a moment must not stop a provider that is there.
            finish(known.isEmpty ? .failure(error) : .success(known))
        }
    }

    private func finish(_ result: Result<[SocketAddress], UpstreamError>) {
        let answers = waiting
        waiting = []
        for answer in answers { answer(result) }
    }
}
