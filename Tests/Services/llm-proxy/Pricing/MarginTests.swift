import Contracts
import Testing
import Values

@testable import LLMProxy

struct MarginTests {
    private static func offer(_ credits: Int64, cents: Int64) -> CreditOffer {
        CreditOffer(name: "package:x", credits: Credits(whole: credits), priceCents: cents)
    }

    private static func price(_ rule: PricingRule) -> PriceVersion { PriceVersion(prompt: 1_000_000, completion: 4_000_000, rule: rule) }

    @Test func `at 25 credits a dollar and 15 percent a credit buys 3.48 cents of cost, and every package earns more`() {
        let packages = [(50, 500), (105, 900), (265, 2_000), (540, 3_500), (1_100, 6_000), (5_750, 25_000)] as [(Int64, Int64)]
        let margins = Margin.check(packages.map { Self.offer($0.0, cents: $0.1) }, [("m", Self.price(.standard))])
        #expect(margins.count == 6)
        #expect(margins.allSatisfy { $0.cost == PicoUSD(value: 34_782_608_696) && !$0.isNegative })
    }

    @Test func `at one credit a dollar every package loses money`() {
        let rule = PricingRule(formula: .costPlus(markupBasisPoints: 1_500, creditsPerUSD: Credits(whole: 1)), minimumCharge: .zero)
        #expect(Margin.check([Self.offer(50, cents: 500)], [("m", Self.price(rule))]).map(\.isNegative) == [true])
    }

    @Test func `a flat price per token buys as many of the dearest token as it pays for`() {
        let flat = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(whole: 2)), minimumCharge: .zero)
        #expect(Self.price(flat).costOfCredit == PicoUSD(value: 500 * 4_000_000))
    }

    @Test func `the model that costs most for a credit decides, and a price of zero has no bound`() {
        let free = PricingRule(formula: .costPlus(markupBasisPoints: 0, creditsPerUSD: .zero), minimumCharge: .zero)
        let flat = PricingRule(formula: .perToken(creditsPer1kTokens: Credits(nano: 1)), minimumCharge: .zero)
        let offers = [Self.offer(50, cents: 500)]
        let margins = Margin.check(offers, [("usual", Self.price(.standard)), ("flat", Self.price(flat))])
        #expect(margins.map(\.model) == ["flat"])
        let unbounded = Margin.check(offers, [("usual", Self.price(.standard)), ("free", Self.price(free)), ("flat", Self.price(flat))])
        #expect(unbounded.map(\.model) == ["free"])
        #expect(unbounded.map(\.isNegative) == [true])
        #expect(Margin.check(offers, []).isEmpty)
    }

    @Test func `no amount of a message traps`() {
        let offer = CreditOffer(name: "x", credits: Credits(nano: 1), priceCents: .max)
        #expect(Margin.check([offer], [("m", Self.price(.standard))]).map(\.isNegative) == [true])
        let change = CatalogueChanged(
            version: 1, changedAt: Instant(microseconds: 0),
            plans: [
                .init(
                    id: "p",
                    features: PlanFeatures(endpoints: nil, requestsPerMinute: nil, tokensPerMinute: nil, concurrency: nil, priority: 0),
                    monthlyCredits: Credits(nano: .max), monthCents: nil, yearCents: .max, isActive: true)
            ],
            packages: [.init(id: "p", credits: Credits(nano: .max), bonus: Credits(nano: .max), priceCents: -1, isActive: true)])
        #expect(Margin.check(change.offers, [("m", Self.price(.standard))]).map(\.isNegative) == [true, true])
    }
}
