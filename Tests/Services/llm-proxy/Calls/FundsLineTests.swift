import EventLoop
import Foundation
import TestSupport
import Testing
import Values

@testable import LLMProxy

struct FundsLineTests {
    private let calls = (0..<4).map { _ in ChargeID.make() }
    private func credits(_ count: Int64) -> Credits { Credits(whole: count) }

    @Test func `the first in line asks after a pause, and again after each answer that finds too little`() {
        var line = FundsLine()
        #expect(line.join(calls[0], need: credits(5)) == .pause(number: 1))
        #expect(line.join(calls[1], need: credits(5)) == FundsLine.Step.none)
        #expect(line.pauseEnded(1) == .wake(calls[0]))
        #expect(line.pauseEnded(1) == .none)
        #expect(line.answered(calls[0], stays: true) == .pause(number: 2))
        #expect(line.pauseEnded(2) == .wake(calls[0]))
        #expect(line.answered(calls[0], stays: false) == .wake(calls[1]))
        #expect(line.answered(calls[1], stays: false) == .none)
        #expect(line.isEmpty)
    }

    @Test func `a small need that the account can pay passes a large one, which is first again if none fits`() {
        var line = FundsLine()
        _ = line.join(calls[0], need: credits(5))
        _ = line.join(calls[1], need: credits(2))
        line.heard(spendable: credits(3))
        #expect(line.pauseEnded(1) == .wake(calls[1]))
        line.heard(spendable: credits(1))
        #expect(line.answered(calls[1], stays: false) == .wake(calls[0]))
    }

    @Test func `a new call asks for itself if the line is empty or if its need fits`() {
        var line = FundsLine()
        #expect(line.letsAsk(need: credits(9)))
        _ = line.join(calls[0], need: credits(5))
        #expect(!line.letsAsk(need: credits(1)))
        line.heard(spendable: credits(1))
        #expect(line.letsAsk(need: credits(1)))
        #expect(!line.letsAsk(need: credits(2)))
    }

    @Test func `a call that ends frees its place, also while it asks`() {
        var line = FundsLine()
        for call in calls { _ = line.join(call, need: credits(5)) }
        #expect(line.leave(calls[1]) == .none)
        #expect(line.pauseEnded(1) == .wake(calls[0]))
        #expect(line.leave(calls[0]) == .pause(number: 2))
        #expect(line.answered(calls[0], stays: true) == .none)
        #expect(line.pauseEnded(2) == .wake(calls[2]))
        _ = line.leave(calls[3])
        #expect(line.leave(calls[2]) == .none)
        #expect(line.isEmpty)
        #expect(line.join(calls[0], need: credits(5)) == .pause(number: 3))
    }

    @Test func `the end of a call makes the line ask at once, and the interrupted pause asks nothing`() {
        var line = FundsLine()
        #expect(line.freed() == .none)
        _ = line.join(calls[0], need: credits(5))
        #expect(line.freed() == .wake(calls[0]))
        #expect(line.freed() == .none)
        #expect(line.pauseEnded(1) == .none)
    }

    @Test func `a full line refuses further calls`() {
        var line = FundsLine()
        for _ in 0..<FundsLine.placesMax { #expect(line.join(.make(), need: credits(1)) != nil) }
        #expect(line.join(.make(), need: credits(1)) == nil)
    }

    // MARK: A simulation by a clock of its own

    /// Runs calls of 90 ms with a patience of 2 s, at 0.9 of the load that room for one hold
    /// carries. Polling every 20 to 250 ms refused 11.6 % of them.
    @Test func `a line refuses far fewer calls than polling`() {
        let seed = drawSeed()
        let line = FundsSimulation(seed: seed, usesLine: true).refusedShare()
        let polling = FundsSimulation(seed: seed, usesLine: false).refusedShare()
        print("\(line) refused in line, \(polling) by polling")
        #expect(polling > 0.05, "seed \(seed): polling refused \(polling)")
        #expect(line < polling / 10, "seed \(seed): \(line) in line, \(polling) by polling")
    }
}

/// One account with room for one hold, and calls that come at random. Times are in milliseconds.
private struct FundsSimulation {
    private enum Event {
        case arrives
        case asks(Int, isLast: Bool)
        case pauseEnds(Int)
        case ends
    }

    private static let calls = 20_000
    private static let length = 90.0
    private static let patience = 2_000.0

    private let usesLine: Bool
    private var random: SplitMix64
    private var events: [(at: Double, event: Event)] = []
    private var now = 0.0
    private var line = FundsLine()
    private var ids: [ChargeID] = []
    private var numbers: [ChargeID: Int] = [:]
    private var arrivedAt: [Double] = []
    private var isDone: [Bool] = []
    private var pauses: [Double] = []
    private var isHeld = false
    private var refused = 0

    init(seed: UInt64, usesLine: Bool) {
        self.usesLine = usesLine
        random = SplitMix64(seed: seed)
    }

    func refusedShare() -> Double {
        var copy = self
        return copy.run()
    }

    private mutating func run() -> Double {
        at(0, .arrives)
        while let next = pop() {
            now = next.at
            switch next.event {
            case .arrives: arrive()
            case .asks(let call, let isLast): ask(call, isLast)
            case .pauseEnds(let number): perform(line.pauseEnded(number))
            case .ends:
                isHeld = false
                perform(line.freed())
            }
        }
        return Double(refused) / Double(Self.calls)
    }

    /// Returns the next event. A search in an array suffices, because few events are in the future.
    private mutating func pop() -> (at: Double, event: Event)? {
        guard let first = events.indices.min(by: { events[$0].at < events[$1].at }) else { return nil }
        return events.remove(at: first)
    }

    private mutating func at(_ time: Double, _ event: Event) { events.append((time, event)) }

    private mutating func arrive() {
        let call = ids.count
        ids.append(.make())
        numbers[ids[call]] = call
        arrivedAt.append(now)
        isDone.append(false)
        pauses.append(20)
        if ids.count < Self.calls {
            // The gap is exponential, with 0.9 calls in the time of one call.
            let unit = Double(random.next() >> 11) / Double(1 << 53)
            at(now - log(1 - unit) * Self.length / 0.9, .arrives)
        }
        if !usesLine || line.letsAsk(need: need) { ask(call, false) } else { join(call) }
        if usesLine { at(now + Self.patience, .asks(call, isLast: true)) }
    }

    private let need = Credits(whole: 1)

    private mutating func join(_ call: Int) { perform(line.join(ids[call], need: need) ?? .none) }

    private mutating func ask(_ call: Int, _ isLast: Bool) {
        guard !isDone[call] else { return }
        let granted = !isHeld
        if granted {
            isHeld = true
            at(now + Self.length, .ends)
        }
        line.heard(spendable: isHeld ? .zero : need)
        isDone[call] = granted || isLast
        if !granted, isLast { refused += 1 }
        guard usesLine else { return granted || isLast ? () : poll(call) }
        if isLast {
            perform(line.leave(ids[call]))
        } else if isWaiting(call) {
            perform(line.answered(ids[call], stays: !granted))
        } else if !granted {
            waiting.insert(call)
            join(call)
        }
    }

    private var waiting: Set<Int> = []
    private func isWaiting(_ call: Int) -> Bool { waiting.contains(call) }

    private mutating func poll(_ call: Int) {
        let pause = pauses[call]
        pauses[call] = min(pause * 2, 250)
        at(now + pause, .asks(call, isLast: now + pause - arrivedAt[call] + pauses[call] >= Self.patience))
    }

    private mutating func perform(_ step: FundsLine.Step) {
        switch step {
        case .none: break
        case .wake(let id):
            guard let call = numbers[id] else { return }
            waiting.insert(call)
            ask(call, false)
        case .pause(let number): at(now + FundsLine.pause.milliseconds, .pauseEnds(number))
        }
    }
}
