import Contracts
import Crypto
import EventLoop
import Foundation
import HTTP
import HTTPWire
import TestSupport
import Testing
import Values

@testable import Identity

@Suite struct APIKeyTableTests {
    private static let loop = EventLoop.spawn(name: "test-key-table")

    private func created(_ key: APIKey) -> APIKeyCreated { APIKeyCreated(apiKeyID: key.id, fingerprint: key.fingerprint) }

    /// A key with the id of another one.
    private func withOtherSecret(_ key: APIKey) -> (key: APIKey, text: String) {
        let body = "ssk_\(key.id)_\(Base62.random(32))"
        let text = "\(body)_\(Base62.encode(crc32(body.utf8)))"
        guard let other = APIKey(Array(text.utf8)) else { preconditionFailure("the key has its form") }
        return (other, text)
    }

    @Test func `a table knows its keys, and a wrong secret of one`() {
        var table = APIKeyTable()
        let keys = (0..<1_000).map { _ in APIKey.make().key }
        for key in keys.dropFirst() { table.insert(created(key)) }
        #expect(table.count == 999)
        #expect(keys.dropFirst().allSatisfy { table.match($0) == .found })
        #expect(table.match(keys[0]) == .unknown)
        #expect(table.match(withOtherSecret(keys[1]).key) == .wrongSecret)
        table.remove(keys[1].id)
        #expect(table.match(keys[1]) == .unknown)
        for id in ["", "short", "abcdefghi!", "zzzzzzzzzzz", "ÿÿÿÿÿ"] {
            let malformed = APIKeyID(rawValue: id)
            table.insert(APIKeyCreated(apiKeyID: malformed, fingerprint: keys[2].fingerprint))
            table.remove(malformed)
        }
        #expect(table.count == 998)
    }

    @Test func `a budget pays for a second's questions at once, and then for one in each interval`() {
        var budget = QuestionBudget(perSecond: 50)
        let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)
        func taken(_ count: Int, after milliseconds: Int) -> Int {
            (0..<count).count { _ in budget.take(now: start + .milliseconds(milliseconds)) }
        }
        #expect(taken(1_000, after: 0) == 50)
        #expect(taken(1_000, after: 19) == 0)
        #expect(taken(1_000, after: 100) == 5)
        #expect(taken(1_000, after: 60_000) == 50)
    }

    @Test func `twenty thousand made-up keys do not disturb a key that exists`() async throws {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let (real, other) = (source.addKey(), source.addKey())
        try await Task(executorPreference: Self.loop) {
            let authenticator = Authenticator(
                service: "test", publicURL: "https://gateway.example", amqp: nil, source: source, clock: { clock.moment }, log: silentLog)
            #expect(await refusal(authenticator, bearer(other)) == nil)
            let id = try #require(APIKey(Array(real.utf8)))
            let flood = (0..<20_000).map { $0 % 2 == 0 ? APIKey.make().text : withOtherSecret(id).text }
            let before = source.introspections
            source.hold()
            let answers = await withTaskGroup(of: (isReal: Bool, refusal: String?).self) { group in
                for key in flood { group.addTask { (false, await refusal(authenticator, bearer(key))) } }
                group.addTask { (true, await refusal(authenticator, bearer(real))) }
                group.addTask {
                    await source.release(onceAsked: IdentityState.unknownKeysPerSecond + 1)
                    return (false, "released")
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.filter(\.isReal).map(\.refusal) == [nil])
            #expect(answers.count { $0.refusal == "invalid_api_key" } == flood.count)
            #expect(source.introspections == before + IdentityState.unknownKeysPerSecond + 1)

            // The event about a new key comes before its owner can use it.
            let new = source.addKey()
            let key = try #require(APIKey(Array(new.utf8)))
            #expect(await refusal(authenticator, bearer(new)) == "invalid_api_key")
            authenticator.learn(created(key))
            #expect(await refusal(authenticator, bearer(new)) == nil)
            authenticator.revoke(APIKeyRevoked(apiKeyID: key.id))
            #expect(await refusal(authenticator, bearer(new)) == "token_revoked")
        }.value
    }

    @Test func `no key is refused before a snapshot has the keys that exist`() async {
        let (source, clock) = (ScriptedSource(), ManualClock())
        let keys = (0..<200).map { _ in source.addKey() }
        await Task(executorPreference: Self.loop) {
            let authenticator = Authenticator(
                service: "test", publicURL: "https://gateway.example", amqp: nil, source: source, clock: { clock.moment }, log: silentLog)
            source.isAway = true
            #expect(await refusal(authenticator, bearer(keys[0])) == "unavailable")
            source.isAway = false
            for key in keys { #expect(await refusal(authenticator, bearer(key)) == nil) }
        }.value
    }

    /// The figures are exact if this test runs alone.
    @Test func `the memory of a hundred thousand keys is printed`() throws {
        let keys = (0..<100_000).map { _ in APIKey.make().key }
        func bytesInUse() throws -> Int {
            let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(Int(pages[1])) * 4_096
        }
        let before = try bytesInUse()
        var state = IdentityState()
        let now = Moment(wall: Instant(microseconds: 1_800_000_000_000_000), monotonic: MonotonicInstant(nanoseconds: 1_000_000_000))
        for key in keys { state.learn(created(key)) }
        let table = try bytesInUse() - before
        for key in keys {
            let principal = Principal(userID: .make(), kind: .apiKey(key.id), roles: ["user"], scopes: ["llm", "models"], plan: "free")
            _ = state.learn(
                IdentityState.Answer(principal: principal, expiresAt: nil), digest: key.secretDigest, asked: state.asking(now: now),
                now: now)
        }
        let all = try bytesInUse() - before
        print("100,000 API keys: the table \(table / 1_000) kB, with an answer of auth about each \(all / 1_000) kB")
        #expect(state.findAnswer(keys[0].secretDigest, now: now) != .unknown(missesSnapshot: true))
    }
}
