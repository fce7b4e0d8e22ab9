import RateLimit
import Testing
import Values

struct RateLimiterTests {
    private let start = Instant(microseconds: 1_800_000_000_000_000)

    @Test func `a key has its burst, then its rate`() {
        let limiter = RateLimiter<String>(burst: 3, perSecond: 0.5)
        let first = (0..<4).map { _ in limiter.take("a", now: start) }
        #expect(first == [nil, nil, nil, .milliseconds(2_001)])
        #expect(limiter.take("a", now: start + .seconds(1)) == .milliseconds(1_001))
        #expect(limiter.take("a", now: start + .seconds(2)) == nil)
        #expect(limiter.take("a", now: start + .seconds(2)) != nil)
        #expect(limiter.take("a", now: start + .seconds(3_600)) == nil)
    }

    @Test func `a key does not use the tokens of another`() {
        let limiter = RateLimiter<String>(burst: 1, perSecond: 1)
        let taken = ["a", "b", "a", "b"].map { limiter.take($0, now: start) == nil }
        #expect(taken == [true, true, false, false])
    }

    @Test func `a token that is given back can be taken again, and never above the burst`() {
        let limiter = RateLimiter<String>(burst: 1, perSecond: 0.001)
        #expect(limiter.take("a", now: start) == nil)
        limiter.giveBack("a", now: start)
        limiter.giveBack("a", now: start)
        let taken = [limiter.take("a", now: start), limiter.take("a", now: start)].map { $0 == nil }
        #expect(taken == [true, false])
    }

    @Test func `a clock that is set back takes no tokens away`() {
        let limiter = RateLimiter<String>(burst: 2, perSecond: 1)
        #expect(limiter.take("a", now: start) == nil)
        let taken = (0..<2).map { _ in limiter.take("a", now: start + .seconds(-60)) == nil }
        #expect(taken == [true, false])
    }

    @Test func `the keys used longest ago are forgotten first, and memory stays bounded`() {
        let limiter = RateLimiter<Int>(burst: 1, perSecond: 0.001, keysMax: 100)
        for key in 0..<10_000 {
            #expect(limiter.take(key, now: start) == nil)
            // A key in use keeps its bucket, whatever the number of other keys.
            if key > 0 { #expect(limiter.take(0, now: start) != nil) }
        }
        #expect(limiter.keyCount <= 100)
        #expect(limiter.take(9_999, now: start) != nil)
        #expect(limiter.take(1, now: start) == nil)
    }
}
