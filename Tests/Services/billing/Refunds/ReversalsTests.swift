import Testing
import Values

@testable import Billing

struct ReversalsTests {
    @Test func `a part that is no whole nano-credit is rounded in favour of the operator`() {
        #expect(ReturnedShare(returned: 1, total: 3).of(Credits(nano: 10)) == Credits(nano: 4))
        #expect(ReturnedShare(returned: 0, total: 3).of(Credits(nano: 10)) == .zero)
        #expect(ReturnedShare(returned: 3, total: 3).of(Credits(nano: 10)) == Credits(nano: 10))
    }

    @Test func `more than was paid cannot go back`() {
        let share = ReturnedShare(returned: 5_000, total: 900)
        #expect(share.isWhole)
        #expect(share.of(Credits(whole: 100)) == Credits(whole: 100))
    }

    @Test func `a free thing gives back nothing and divides by nothing`() {
        #expect(ReturnedShare(returned: 0, total: 0).of(Credits(whole: 5)) == .zero)
    }

    @Test func `months to come go before months that were given`() {
        let months = [Credits](repeating: Credits(whole: 500), count: 12)
        let kept = ReturnedShare(returned: 50, total: 100).kept(of: months)
        #expect(kept == [Credits](repeating: Credits(whole: 500), count: 6) + [Credits](repeating: .zero, count: 6))
        #expect(ReturnedShare(returned: 100, total: 100).kept(of: months).allSatisfy { $0 == .zero })
        #expect(ReturnedShare.none.kept(of: months) == months)
    }
}
