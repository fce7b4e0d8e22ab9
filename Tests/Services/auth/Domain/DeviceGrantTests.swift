import TestSupport
import Testing
import Values

@testable import Auth

struct DeviceGrantTests {
    private let now = Instant(microseconds: 1_800_000_000_000_000)

    private func grant(_ state: DeviceGrant.State = .pending, by user: UserID? = nil) -> DeviceGrant {
        DeviceGrant(
            id: .make(), clientID: "smartspec-desktop", scope: "", requestedBy: .itself, state: state,
            decision: user.map { DeviceGrant.Decision(userID: $0, tokenVersion: 0) },
            redeemedAt: state == .redeemed ? now : nil, pollInterval: DeviceGrant.firstPollInterval, createdAt: now,
            expiresAt: now + DeviceGrant.life)
    }

    private func poll(_ grant: DeviceGrant, after seconds: Double, isProbe: Bool = false) -> DeviceGrant.Poll {
        grant.poll(now: now + .milliseconds(Int64(seconds * 1_000)), isProbe: isProbe)
    }

    @Test func `T41, T42: the first poll counts, and a second at once is slowed down to ten seconds`() throws {
        guard case .pending(let first) = poll(grant(), after: 0) else { throw Unexpected() }
        guard case .slowDown(let second) = poll(first, after: 0.1) else { throw Unexpected() }
        #expect(second.pollInterval == .seconds(10))
        #expect(second.lastPolledAt == first.lastPolledAt)
        // The interval grows once in its own time, however often a client polls.
        guard case .slowDown(let third) = poll(second, after: 0.2) else { throw Unexpected() }
        #expect(third == second)
        guard case .pending = poll(second, after: 9.25) else { throw Unexpected() }
    }

    @Test func `T42b: a client that tries each poll twice is never slowed down`() throws {
        var grant = grant()
        for round in 0..<50 {
            #expect(poll(grant, after: Double(round) * 5, isProbe: true) == .pending(grant))
            guard case .pending(let next) = poll(grant, after: Double(round) * 5 + 0.01) else { throw Unexpected() }
            grant = next
        }
        #expect(grant.pollInterval == .seconds(5))
    }

    @Test func `T44: a client that polls in time, give or take a fifth of a second, is never slowed down`() throws {
        var random = SplitMix64(seed: drawSeed())
        var grant = grant()
        for round in 0..<119 {
            let jitter = Double(Int64(random.next() % 401)) / 1_000 - 0.2
            guard case .pending(let next) = poll(grant, after: max(0, Double(round) * 5 + jitter)) else { throw Unexpected() }
            grant = next
        }
    }

    @Test func `the interval ends at a minute`() throws {
        guard case .pending(var grant) = poll(grant(), after: 0) else { throw Unexpected() }
        for tenth in 1..<5_990 {
            switch poll(grant, after: Double(tenth) / 10) {
            case .pending(let next), .slowDown(let next): grant = next
            default: throw Unexpected()
            }
        }
        #expect(grant.pollInterval == .seconds(60))
    }

    @Test func `a decided or ended grant answers by its state, however early the poll comes`() {
        let user = UserID.make()
        #expect(poll(grant(.approved, by: user), after: 0) == .redeem)
        #expect(poll(grant(.denied, by: user), after: 0) == .denied)
        #expect(poll(grant(), after: 600) == .expired)
        #expect(poll(grant(.approved, by: user), after: 600) == .expired)
        #expect(poll(grant(.denied, by: user), after: 600) == .expired)
        #expect(poll(grant(.redeemed, by: user), after: 10) == .used)
        #expect(poll(grant(.redeemed, by: user), after: 11) == .replayed)
        #expect(poll(grant(.redeemed, by: user), after: 700) == .replayed)
    }

    @Test func `only a pending grant is decided, and not in its last two seconds`() {
        let (user, other) = (UserID.make(), UserID.make())
        #expect(grant().decide(.approved, by: user, now: now) == .decide)
        #expect(grant().decide(.approved, by: user, now: now + .milliseconds(597_999)) == .decide)
        #expect(grant().decide(.approved, by: user, now: now + .seconds(598)) == .ended)
        #expect(grant(.approved, by: user).decide(.approved, by: user, now: now) == .unchanged)
        #expect(grant(.approved, by: user).decide(.denied, by: user, now: now) == .conflict)
        #expect(grant(.denied, by: user).decide(.approved, by: user, now: now) == .conflict)
        #expect(grant(.approved, by: user).decide(.approved, by: other, now: now) == .conflict)
        #expect(grant(.redeemed, by: user).decide(.approved, by: user, now: now) == .unchanged)
        #expect(grant(.redeemed, by: user).decide(.denied, by: user, now: now) == .ended)
        #expect(grant(.redeemed, by: user).decide(.approved, by: other, now: now) == .ended)
    }

    private struct Unexpected: Error {}
}
