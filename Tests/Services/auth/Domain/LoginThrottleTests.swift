import Testing
import Values

@testable import Auth

struct LoginThrottleTests {
    @Test func `an account waits 1, 2, 4, up to 300 seconds from its fifth failure on`() {
        let now = Instant(microseconds: 1_800_000_000_000_000)
        func wait(_ failures: Int64, after seconds: Int64) -> Duration {
            LoginThrottle.wait(failures: failures, lastFailedAt: now, now: now + .seconds(seconds))
        }
        #expect(LoginThrottle.wait(failures: 0, lastFailedAt: nil, now: now) == .zero)
        #expect(wait(4, after: 0) == .zero)
        #expect([5, 6, 7, 8].map { wait($0, after: 0) } == [.seconds(1), .seconds(2), .seconds(4), .seconds(8)])
        #expect(wait(13, after: 0) == .seconds(256))
        #expect(wait(14, after: 0) == .seconds(300))
        #expect(wait(.max, after: 0) == .seconds(300))
        #expect(wait(8, after: 5) == .seconds(3))
        #expect(wait(8, after: 8) == .zero)
    }

    @Test func `a client address may fail fifty times, then ten times a minute`() throws {
        var throttle = AddressThrottle()
        let now = Instant(microseconds: 1_800_000_000_000_000)
        for _ in 0..<50 {
            #expect(throttle.wait("192.0.2.1", now: now) == nil)
            throttle.failed("192.0.2.1", now: now)
        }
        let wait = try #require(throttle.wait("192.0.2.1", now: now))
        #expect(wait > .seconds(5) && wait < .seconds(7))
        #expect(throttle.wait("192.0.2.1", now: now + .seconds(7)) == nil)
        #expect(throttle.wait("192.0.2.2", now: now) == nil)
    }
}
