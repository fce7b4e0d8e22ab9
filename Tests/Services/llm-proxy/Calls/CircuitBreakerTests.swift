import EventLoop
import Testing

@testable import LLMProxy

struct CircuitBreakerTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: UInt64(seconds) * 1_000_000_000) }

    /// A breaker that opened at 100 s. Its first trial is due at 105 s.
    private func opened() -> CircuitBreaker {
        var breaker = CircuitBreaker()
        for _ in 0..<CircuitBreaker.failuresMax { breaker.ended(.failed, of: .usual, at: at(100)) }
        return breaker
    }

    @Test func `a breaker opens after five failures in a row, and not before`() {
        var breaker = CircuitBreaker()
        for _ in 0..<4 { breaker.ended(.failed, of: .usual, at: at(100)) }
        #expect(breaker.admit(at: at(100)) == .usual)
        breaker.ended(.failed, of: .usual, at: at(100))
        #expect(breaker.admit(at: at(100)) == nil)
        #expect(breaker.wait(at: at(101)) == .seconds(4))
    }

    @Test func `an answer between failures starts the count again, and an ended call without an answer does not`() {
        var breaker = CircuitBreaker()
        for _ in 0..<4 { breaker.ended(.failed, of: .usual, at: at(100)) }
        breaker.ended(.answered, of: .usual, at: at(100))
        breaker.ended(.failed, of: .usual, at: at(100))
        #expect(breaker.admit(at: at(100)) == .usual)
        for _ in 0..<3 { breaker.ended(.failed, of: .usual, at: at(100)) }
        breaker.ended(.unknown, of: .usual, at: at(100))
        breaker.ended(.failed, of: .usual, at: at(100))
        #expect(breaker.admit(at: at(100)) == nil)
    }

    @Test func `after the pause one call at a time tries the provider`() {
        var breaker = opened()
        #expect(breaker.admit(at: at(104)) == nil)
        #expect(breaker.admit(at: at(105)) == .trial)
        #expect(breaker.admit(at: at(106)) == nil)
        // A trial that never ends keeps out no later one.
        #expect(breaker.admit(at: at(110)) == .trial)
    }

    @Test func `a trial that is answered closes the breaker`() {
        var breaker = opened()
        #expect(breaker.admit(at: at(105)) == .trial)
        breaker.ended(.answered, of: .trial, at: at(106))
        #expect(breaker.admit(at: at(106)) == .usual)
    }

    @Test func `each trial that fails doubles the pause, up to a minute`() {
        var breaker = opened()
        var now: Int64 = 105
        for pause: Int64 in [10, 20, 40, 60, 60] {
            #expect(breaker.admit(at: at(now)) == .trial)
            breaker.ended(.failed, of: .trial, at: at(now))
            #expect(breaker.wait(at: at(now)) == .seconds(pause))
            now += pause
        }
    }

    @Test func `calls from before the breaker opened do not move its trial`() {
        var breaker = opened()
        for _ in 0..<20 { breaker.ended(.failed, of: .usual, at: at(104)) }
        #expect(breaker.admit(at: at(105)) == .trial)
    }

    @Test(
        arguments: [
            (.unreachable, .failed), (.timedOut, .failed), (.wrongAnswer(""), .failed), (.refused(status: 503, retryAfter: nil), .failed),
            (.refused(status: 429, retryAfter: 1), .answered), (.refusedRequest(status: 400, message: nil, param: nil), .answered),
            (.accountRefused(status: 429), .answered), (.cancelled, .unknown), (.saturated, .unknown),
        ] as [(ProviderFailure.Kind, CircuitBreaker.Result)])
    func `outages count, and refusals do not`(kind: ProviderFailure.Kind, result: CircuitBreaker.Result) {
        #expect(CircuitBreaker.Result(ProviderFailure(kind)) == result)
    }

    @Test func `each provider has a breaker of its own`() {
        let breakers = CircuitBreakers()
        let changes = (0..<6).map { _ in breakers.ended(.failed, of: .usual, at: "a", at: at(100)) }
        #expect(changes == [nil, nil, nil, nil, true, nil])
        #expect(breakers.admit(to: "a", at: at(100)) == nil)
        #expect(breakers.admit(to: "b", at: at(100)) == .usual)
        #expect(breakers.ended(.answered, of: .usual, at: "a", at: at(101)) == false)
        #expect(breakers.wait(for: "a", at: at(101)) == nil)
    }
}
