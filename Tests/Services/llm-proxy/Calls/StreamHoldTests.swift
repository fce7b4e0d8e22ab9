import Testing
import Values

@testable import LLMProxy

/// A prompt costs nothing here, an output token a thousandth of a credit: 1,000,000 nano-credits.
struct StreamHoldTests {
    private static let price = PriceVersion(prompt: 0, completion: 1_000_000_000)

    private static func tokens(_ count: Int64) -> Credits { Credits(nano: count * 1_000_000) }

    private func hold(
        _ count: Int64, limit: Int64 = 1_000_000, choices: Int64 = 1, usual: Int64 = 100,
        price: PriceVersion = price
    ) -> StreamHold {
        let bound = CallBoundTests.bound(
            choices: choices, usual: usual, longest: 1_000_000, context: 50, price: price)
        return StreamHold(granted: Self.tokens(count), bound: bound, limit: limit)
    }

    private func asked(_ step: Int64, most: Int64, usual: Int64, least: Int64) -> StreamHold.Extension {
        StreamHold.Extension(step: step, most: Self.tokens(most), usual: Self.tokens(usual), least: Self.tokens(least))
    }

    @Test func `more is asked for when less than a quarter of the usual answer is left, once`() {
        var hold = hold(100)
        #expect(hold.outputTokens == 100)
        #expect(hold.next(delivered: 75, isUsedUp: false) == nil)
        let asked = hold.next(delivered: 76, isUsedUp: false)
        #expect(asked == self.asked(1, most: 100, usual: 100, least: 64))
        #expect(hold.next(delivered: 90, isUsedUp: false) == nil)
        #expect(hold.next(delivered: 100, isUsedUp: true) == nil)
    }

    @Test func `more is asked for when 256 tokens of a long usual answer are left`() {
        var hold = hold(4_000, usual: 4_000)
        #expect(hold.next(delivered: 3_744, isUsedUp: false) == nil)
        #expect(hold.next(delivered: 3_745, isUsedUp: false)?.most == Self.tokens(4_000))
    }

    @Test func `steps count up, and a long answer takes few of them`() {
        var hold = hold(100)
        var steps: [Int64] = []
        for delivered in 0..<Int64(100_000) {
            guard let asked = hold.next(delivered: delivered, isUsedUp: false) else { continue }
            steps.append(asked.step)
            #expect(asked.most >= asked.usual && asked.usual >= asked.least && asked.least > .zero)
            hold.extended(by: asked.most)
            #expect(hold.outputTokens > delivered + 64)
        }
        #expect(steps == Array(1...Int64(steps.count)))
        #expect(steps.count < 20)
    }

    @Test func `a partly granted extension is used up before more is asked for`() {
        var hold = hold(100)
        #expect(hold.next(delivered: 80, isUsedUp: false) != nil)
        hold.extended(by: Self.tokens(64))
        #expect(hold.outputTokens == 164)
        #expect(hold.next(delivered: 139, isUsedUp: false) == nil)
        #expect(hold.next(delivered: 140, isUsedUp: false)?.step == 2)
    }

    @Test func `a hold asks for no more after a refusal`() {
        var hold = hold(100)
        #expect(hold.next(delivered: 80, isUsedUp: false) != nil)
        #expect(!hold.isFinal)
        hold.refused()
        #expect(hold.isFinal)
        #expect(hold.next(delivered: 100, isUsedUp: true) == nil)
        #expect(hold.outputTokens == 100)
    }

    @Test func `a hold that pays for the provider's limit is never extended, and counts events alone`() {
        var hold = hold(70, limit: 70)
        #expect(hold.isFinal)
        #expect(hold.budget.countsEventsOnly)
        #expect(hold.next(delivered: 70, isUsedUp: true) == nil)
    }

    @Test func `no more is asked for than the limit can use`() {
        var hold = hold(100, limit: 130)
        #expect(!hold.budget.countsEventsOnly)
        #expect(hold.next(delivered: 100, isUsedUp: true) == asked(1, most: 30, usual: 30, least: 30))
        hold.extended(by: Self.tokens(30))
        #expect(hold.isFinal)
        #expect(hold.outputTokens == 130)
    }

    @Test func `a hold of the least pays for the least, and an extension makes up for its prompt`() {
        // The bound of the prompt is 50 tokens. The least amount counts half of them.
        let price = PriceVersion(prompt: 1_000_000_000, completion: 1_000_000_000)
        var hold = hold(25 + 64, price: price)
        #expect(hold.outputTokens == 64)
        #expect(hold.next(delivered: 64, isUsedUp: true)?.most == Self.tokens(50 + 164 - 89))
    }

    @Test func `several answers count together, and each has its share of the next slice`() {
        var hold = hold(300, choices: 3)
        #expect(hold.outputTokens == 300)
        #expect(hold.next(delivered: 225, isUsedUp: false) == nil)
        #expect(
            hold.next(delivered: 226, isUsedUp: false)
                == asked(1, most: 300, usual: 300, least: 192))
    }

    @Test func `the prompt is paid for before the answer`() {
        let price = PriceVersion(prompt: 1_000_000_000, completion: 1_000_000_000)
        #expect(hold(150, price: price).outputTokens == 100)
    }

    @Test func `a model that costs nothing, or no more than the minimum, asks for nothing`() {
        let free = PriceVersion(prompt: 0, completion: 0)
        var gratis = hold(1, price: free)
        #expect(gratis.next(delivered: 9_000_000, isUsedUp: false) == nil)
        let flat = PriceVersion(prompt: 0, completion: 1_000_000_000, minimum: Credits(whole: 1))
        var minimal = hold(1_000, price: flat)
        #expect(minimal.outputTokens == 1_000)
        #expect(minimal.next(delivered: 900, isUsedUp: false) == nil)
    }

    @Test func `an amount that cannot be charged is not asked for`() {
        let dear = PriceVersion(prompt: 0, completion: 1_000_000_000_000_000)
        var hold = StreamHold(
            granted: CallBound.amountMax,
            bound: CallBoundTests.bound(usual: 1_000_000, longest: 10_000_000, price: dear),
            limit: 10_000_000)
        #expect(hold.next(delivered: hold.outputTokens, isUsedUp: true) == nil)
        #expect(hold.isFinal)
    }
}
