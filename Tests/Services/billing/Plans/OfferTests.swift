import TestSupport
import Testing

@testable import Billing

struct OfferTests {
    private static func catalogue(_ packages: Package...) -> Catalogue { Catalogue(packages: packages, plans: []) }

    @Test(
        arguments: [
            (50, "Starter", 0, 500), (100, "Basic", 5, 900), (250, "Standard", 15, 2_000), (500, "Pro", 40, 3_500),
            (1_000, "Business", 100, 6_000), (5_000, "Enterprise", 750, 25_000),
        ] as [(Int64, String, Int64, Int64)])
    func `a package has its own price and bonus`(credits: Int64, name: String, bonus: Int64, cents: Int64) {
        let offer = Offer(packageName: name, credits: credits, bonus: bonus, amountCents: cents)
        #expect(Catalogue.atStart.offer(credits: credits) == offer)
    }

    @Test(
        arguments: [
            (10, 100), (49, 490), (51, 510), (75, 750), (90, 900), (91, 900), (99, 900), (101, 909), (222, 1_998), (223, 2_000),
            (249, 2_000),
            (251, 2_008), (437, 3_496), (438, 3_500), (501, 3_507), (999, 6_000), (1_001, 6_006), (4_166, 24_996), (4_167, 25_000),
            (5_001, 25_005), (100_000, 500_000),
        ] as [(Int64, Int64)])
    func `another amount has the rate of the next smaller package, up to the price of the next larger one`(credits: Int64, cents: Int64) {
        let offer = Offer(packageName: nil, credits: credits, bonus: 0, amountCents: cents)
        #expect(Catalogue.atStart.offer(credits: credits) == offer)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 9, 100_001, .max])
    func `an amount outside the range is not sold`(credits: Int64) {
        #expect(Catalogue.atStart.offer(credits: credits) == nil)
    }

    @Test func `a package outside the range of free amounts is sold`() {
        let small = Self.catalogue(.make("taste", 5, cents: 99))
        #expect(small.offer(credits: 5)?.packageName == "Taste")
        #expect(small.offer(credits: 6) == nil)
    }

    @Test func `a fraction of a cent is rounded up`() {
        let thirds = Self.catalogue(.make("thirds", 30, cents: 1_000))
        #expect([10, 11, 29, 31, 60].map { thirds.offer(credits: $0)?.amountCents } == [334, 367, 967, 1_034, 2_000])
    }

    @Test func `an inactive package sets no price`() {
        var catalogue = Catalogue.atStart
        catalogue.packages[1].isActive = false
        #expect(catalogue.offer(credits: 100) == Offer(packageName: nil, credits: 100, bonus: 0, amountCents: 1_000))
        for index in catalogue.packages.indices { catalogue.packages[index].isActive = false }
        #expect(catalogue.offer(credits: 100) == nil)
    }

    @Test func `an amount whose price Stripe does not take is not sold`() {
        let cheap = Self.catalogue(.make("bulk", 100_000, cents: 50))
        #expect(cheap.offer(credits: 100_000)?.amountCents == 50)
        #expect(cheap.offer(credits: 99_999)?.amountCents == 50)
        #expect(cheap.offer(credits: 10) == nil)
        let dear = Self.catalogue(.make("single", 1, cents: 99_999_999))
        #expect(dear.offer(credits: 1)?.amountCents == 99_999_999)
        #expect(dear.offer(credits: 100_000) == nil)
    }

    @Test func `the order of the packages does not matter`() {
        let reversed = Catalogue(packages: Catalogue.atStart.packages.reversed(), plans: [])
        for credits in Catalogue.customCredits where credits < 6_000 {
            #expect(reversed.offer(credits: credits) == Catalogue.atStart.offer(credits: credits))
        }
    }

    @Test func `every amount of a new installation costs no less than a smaller one, and the exact rate or the next package`() {
        expectRules(of: .atStart)
    }

    /// Larger packages cost more, at whatever rate.
    @Test func `every amount of a random catalogue keeps the rules`() {
        var random = SplitMix64(seed: drawSeed())
        for _ in 0..<6 {
            let sizes = Set((0..<Int64.random(in: 1...8, using: &random)).map { _ in Int64.random(in: 1...100_000, using: &random) })
                .sorted()
            var cents: Int64 = 50
            let packages = sizes.map { size in
                cents += Int64.random(in: 0...1_000_000, using: &random)
                return Package.make("p\(size)", size, bonus: Int64.random(in: 0...9, using: &random), cents: cents)
            }
            expectRules(of: Catalogue(packages: packages, plans: []))
        }
    }

    /// Checks each amount by products of whole numbers alone, so that no rounding of the test can agree with one of the rule.
    private func expectRules(of catalogue: Catalogue, sourceLocation: SourceLocation = #_sourceLocation) {
        let packages = catalogue.packages.sorted { $0.credits < $1.credits }
        var flaws: [String] = []
        var last: Int64 = 0
        var next = 0
        for credits in Catalogue.customCredits {
            while next < packages.count, packages[next].credits < credits { next += 1 }
            let larger = next < packages.count ? packages[next] : nil
            let rate = next > 0 ? packages[next - 1] : packages[0]
            guard let offer = catalogue.offer(credits: credits) else {
                if credits * rate.priceCents >= 50 * rate.credits, credits * rate.priceCents <= 99_999_999 * rate.credits {
                    flaws.append("\(credits) is not sold")
                }
                continue
            }
            if offer.amountCents < last { flaws.append("\(credits) costs less than a smaller amount") }
            last = offer.amountCents
            if let larger, larger.credits == credits {
                if offer != Offer(packageName: larger.name, credits: credits, bonus: larger.bonus, amountCents: larger.priceCents) {
                    flaws.append("\(credits) is not its package")
                }
                continue
            }
            if let larger, offer.amountCents > larger.priceCents { flaws.append("\(credits) costs more than the next package") }
            let (paid, due) = (offer.amountCents * rate.credits, credits * rate.priceCents)
            let isRounded = paid >= due && paid - due < rate.credits
            let isCapped = paid < due && offer.amountCents == larger?.priceCents
            if !isRounded && !isCapped { flaws.append("\(credits) costs \(offer.amountCents)") }
            if (offer.packageName, offer.credits, offer.bonus) != (nil, credits, 0) { flaws.append("\(credits) is \(offer)") }
        }
        #expect(flaws.prefix(5) == [], sourceLocation: sourceLocation)
    }
}
