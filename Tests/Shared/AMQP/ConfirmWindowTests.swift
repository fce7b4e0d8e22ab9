import EventLoop
import TestSupport
import Testing

@testable import AMQP

struct ConfirmWindowTests {
    private func window(_ keys: [String]) -> ConfirmWindow<String> {
        var window = ConfirmWindow<String>()
        for (index, key) in keys.enumerated() {
            let message = OutgoingMessage(exchange: "", routingKey: key, body: [], properties: MessageProperties(messageID: key, type: ""))
            window.append(
                key, deadline: MonotonicInstant(nanoseconds: UInt64(index + 1) * 100), now: MonotonicInstant(nanoseconds: 0), message)
        }
        return window
    }

    private func settled(_ window: inout ConfirmWindow<String>, _ tag: UInt64, multiple: Bool = false) throws -> [String] {
        var tokens: [String] = []
        try window.settle(tag: tag, multiple: multiple) { token, _ in tokens.append(token) }
        return tokens
    }

    @Test func `a multiple confirm settles each open message up to its tag once`() throws {
        var window = window(["a", "b", "c", "d"])
        var told = [try settled(&window, 2), try settled(&window, 3, multiple: true), try settled(&window, 3, multiple: true)]
        #expect(told == [["b"], ["a", "c"], []])
        #expect(window.count == 1)
        told = [try settled(&window, 4)]
        #expect(told == [["d"]])
        #expect(window.count == 0)
    }

    @Test func `a return marks the oldest message alike, and only one`() throws {
        var window = window(["a", "a", "b"])
        window.markReturned(Channel.Returned(code: 312, text: "NO_ROUTE", exchange: "", routingKey: "a", messageID: "a"))
        var returned: [Bool] = []
        try window.settle(tag: 3, multiple: true) { _, mark in returned.append(mark != nil) }
        #expect(returned == [true, false, false])
    }

    @Test func `a publisher that gave up gets no second result, and the tags still count`() throws {
        var window = window(["a", "b", "c"])
        var late: [String] = []
        window.expire(now: MonotonicInstant(nanoseconds: 150)) { late.append($0) }
        #expect(late == ["a"])
        #expect(window.nextDeadline == MonotonicInstant(nanoseconds: 200))
        let told = try settled(&window, 2, multiple: true)
        #expect(told == ["b"])
        var lost: [String] = []
        window.reset { token, _ in lost.append(token) }
        #expect(lost == ["c"])
        #expect(window.count == 0)
    }

    @Test func `random confirms settle each message exactly once`() throws {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        var window = window((0..<10_000).map(String.init))
        var open = Set(1...UInt64(10_000))
        var told: [String] = []
        while let tag = open.randomElement(using: &random) {
            let multiple = Bool.random(using: &random) && Bool.random(using: &random)
            told += try settled(&window, tag, multiple: multiple)
            if multiple { open = open.filter { $0 > tag } } else { open.remove(tag) }
        }
        #expect(told.count == 10_000 && Set(told).count == 10_000, "seed \(seed)")
        #expect(window.count == 0, "seed \(seed)")
    }
}
