import Contracts
import Testing
import Values

@testable import LLMProxy

struct CallStateTests {
    /// Settles a call whose hold is 2,000 tokens, with a thousandth of a credit for a token. The tier `priority` costs twice as much, and
    /// `flex` half.
    private static func settled(_ tier: ServiceTier, output: Int64) throws -> CallState.Settlement {
        var price = CallBoundTests.price
        price.conditional = [(.priority, 2_000_000_000), (.flex, 500_000_000)].map { tier, each in
            ConditionalPrices(tier: tier, units: [.input: PicoUSD(value: each), .output: PicoUSD(value: each)])
        }
        let bound = CallBoundTests.bound(streams: false, price: price)
        var state = CallState(bound, try #require(bound.amounts))
        _ = state.on(.held(ScriptedLedger.granted(CallBoundTests.tokens(2_000), to: .make())))
        var usage = Usage(promptTokens: 100, completionTokens: output)
        usage.tier = tier
        guard case .settle(let settlement) = state.on(.ended(CallEnd(answer: .whole, delivered: usage))) else {
            throw Unsettled()
        }
        return settlement
    }

    private struct Unsettled: Error {}

    @Test func `a tier that the provider chose costs its price, but at most the hold`() throws {
        #expect(try Self.settled(.standard, output: 900).amount == CallBoundTests.tokens(1_000))
        #expect(try Self.settled(.flex, output: 900).amount == CallBoundTests.tokens(500))
        #expect(try Self.settled(.priority, output: 800).amount == CallBoundTests.tokens(1_800))
        let dear = try Self.settled(.priority, output: 950)
        #expect(dear.amount == CallBoundTests.tokens(2_000))
        #expect(dear.isEstimated && !dear.isUnpriced)
    }

    @Test func `a tier without a price costs the hold`() throws {
        let settlement = try Self.settled(.batch, output: 10)
        #expect(settlement.amount == CallBoundTests.tokens(2_000))
        #expect(settlement.isUnpriced)
    }
}
