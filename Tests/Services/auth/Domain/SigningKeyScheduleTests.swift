import Testing
import Values

@testable import Auth

@Suite struct SigningKeyScheduleTests {
    private let schedule = SigningKeySchedule(tokenLife: .seconds(900))
    private let start = Instant(microseconds: 1_800_000_000_000_000)

    @Test func `the first start makes a signing key and a standby key`() {
        #expect(schedule.steps([], now: start) == [.make(.current), .make(.standby)])
    }

    @Test func `no rotation is due for ninety days`() {
        let keys = [key("a", .current), key("b", .standby)]
        #expect(schedule.steps(keys, now: start) == [])
        #expect(schedule.steps(keys, now: start + .seconds(90 * 86_400 - 1)) == [])
        #expect(schedule.steps(keys, now: start + .seconds(90 * 86_400)) == [.promote("b"), .make(.standby)])
    }

    @Test func `a standby key signs only after it was published for twice the cache time of verifiers`() {
        let late = start + .seconds(90 * 86_400)
        let keys = [key("a", .current), key("b", .standby, since: late)]
        #expect(schedule.steps(keys, now: late + .seconds(1_199)) == [])
        #expect(schedule.steps(keys, now: late + .seconds(1_200)) == [.promote("b"), .make(.standby)])
    }

    @Test func `a lost current key is replaced at once by the published standby key`() {
        #expect(schedule.steps([key("b", .standby)], now: start) == [.promote("b"), .make(.standby)])
    }

    @Test func `a retired key is kept until its last token has expired`() {
        let keys = [key("a", .retired), key("b", .current), key("c", .standby)]
        // Its last token lives 900 s, and verifiers may cache the published keys for 600 s.
        #expect(schedule.steps(keys, now: start + .seconds(900 + 600)) == [])
        #expect(schedule.steps(keys, now: start + .seconds(3_600)) == [.delete("a")])
    }

    @Test func `over two years every token finds its key published`() {
        var keys: [SigningKeySchedule.Key] = []
        var tokens: [(key: String, diesAt: Instant)] = []
        var names = (1...).makeIterator()
        var rotations = 0
        for step in 0..<(2 * 365 * 24) {
            let now = start + .seconds(step * 3_600)
            for step in schedule.steps(keys, now: now) {
                switch step {
                case .make(let state): keys.append(key("k\(names.next() ?? 0)", state, since: now))
                case .promote(let id):
                    rotations += 1
                    for index in keys.indices where keys[index].state == .current {
                        keys[index] = key(keys[index].id, .retired, since: now)
                    }
                    for index in keys.indices where keys[index].id == id { keys[index] = key(id, .current, since: now) }
                case .delete(let id): keys.removeAll { $0.id == id }
                }
            }
            #expect(keys.count { $0.state == .current } == 1)
            #expect(keys.count { $0.state == .standby } == 1)
            tokens.removeAll { $0.diesAt <= now }
            #expect(tokens.allSatisfy { token in keys.contains { $0.id == token.key } })
            if let current = keys.first(where: { $0.state == .current }) { tokens.append((current.id, now + .seconds(900))) }
        }
        #expect(rotations == 8)
        #expect(keys.count <= 3)
    }

    private func key(_ id: String, _ state: SigningKeySchedule.State, since: Instant? = nil) -> SigningKeySchedule.Key {
        SigningKeySchedule.Key(id: id, state: state, since: since ?? start)
    }
}
