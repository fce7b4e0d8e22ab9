import Testing
import Values

@testable import Auth

struct SignInThrottleTests {
    private let now = Instant(microseconds: 1_800_000_000_000_000)

    private func decide(
        _ failures: Int64, after seconds: Int64 = 0, accountFailures: Int64 = 0, isKnown: Bool = false
    ) -> SignInThrottle.Decision {
        SignInThrottle.decide(
            SignInThrottle.Place(failures: failures, lastAttemptAt: now), accountFailures: accountFailures, isKnown: isKnown,
            now: now + .seconds(seconds))
    }

    private func admitted(_ failures: Int64, after seconds: Int64 = 0) -> SignInThrottle.Decision {
        .admit(SignInThrottle.Place(failures: failures, lastAttemptAt: now + .seconds(seconds)))
    }

    @Test func `a place waits 1, 2, 4, up to 300 seconds from its fifth failure on`() {
        #expect(SignInThrottle.decide(.init(), accountFailures: 0, isKnown: false, now: now) == admitted(1))
        #expect(decide(4) == admitted(5))
        #expect([5, 6, 7, 8].map { decide($0) } == [1, 2, 4, 8].map { .wait(.seconds($0), remember: nil) })
        #expect(decide(13) == .wait(.seconds(256), remember: nil))
        #expect(decide(14) == .wait(.seconds(300), remember: nil))
        #expect(decide(.max - 1) == .wait(.seconds(300), remember: nil))
        #expect(decide(8, after: 5) == .wait(.seconds(3), remember: nil))
        #expect(decide(8, after: 8) == admitted(9, after: 8))
        #expect(decide(8, after: 86_401) == admitted(1, after: 86_401))
    }

    @Test func `a new place of an account under attack waits five seconds, once`() {
        let asked = SignInThrottle.decide(.init(), accountFailures: 20, isKnown: false, now: now)
        #expect(asked == .wait(.seconds(5), remember: SignInThrottle.Place(failures: 0, lastAttemptAt: now)))
        #expect(decide(0, after: 4, accountFailures: 20) == .wait(.seconds(1), remember: nil))
        #expect(decide(0, after: 5, accountFailures: 1_000_000) == admitted(1, after: 5))
        #expect(SignInThrottle.decide(.init(), accountFailures: 19, isKnown: false, now: now) == admitted(1))
    }

    @Test func `a known place of an account under attack does not wait`() {
        #expect(SignInThrottle.decide(.init(), accountFailures: 1_000, isKnown: true, now: now) == admitted(1))
        #expect(decide(5, accountFailures: 1_000, isKnown: true) == .wait(.seconds(1), remember: nil))
    }
}
