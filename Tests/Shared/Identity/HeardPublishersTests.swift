import AMQP
import EventLoop
import Testing
import Values

@testable import Identity

@Suite struct HeardPublishersTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    /// Lets `publishers` hear a number `after` seconds.
    private func hear(
        _ publishers: inout HeardPublishers, _ number: UInt64, of publisher: String = "a", after: Int = 0
    ) -> HeardPublishers.Finding {
        publishers.hear(PublishNumber(publisher: publisher, number: number), now: start + .seconds(after))
    }

    @Test func `numbers in their order are complete, and a missing number is a gap once`() {
        var publishers = HeardPublishers()
        let findings = [1, 2, 3, 5, 6].map { hear(&publishers, $0) }
        #expect(findings == [.complete, .complete, .complete, .gap, .complete])
    }

    @Test func `a duplicate and an earlier number are no gap, and hide none`() {
        var publishers = HeardPublishers()
        let findings = [1, 2, 2, 1, 4, 3, 5].map { hear(&publishers, $0) }
        #expect(findings == [.complete, .complete, .complete, .complete, .gap, .complete, .complete])
    }

    @Test func `each publisher has its own numbers, and a publisher that is heard late may miss earlier ones`() {
        var publishers = HeardPublishers()
        #expect(hear(&publishers, 7, of: "a") == .firstHeard)
        #expect(hear(&publishers, 1, of: "b") == .complete)
        #expect(hear(&publishers, 8, of: "a") == .complete)
        #expect(hear(&publishers, 3, of: "b") == .gap)
    }

    @Test func `the largest number is no trap`() {
        var publishers = HeardPublishers()
        #expect([UInt64.max, .max, 1].map { hear(&publishers, $0) } == [.firstHeard, .complete, .complete])
    }

    @Test func `a publisher that is silent for ten seconds ends the silence once, while another is heard`() {
        var publishers = HeardPublishers()
        _ = hear(&publishers, 1, of: "a")
        for second in 0...9 {
            _ = hear(&publishers, UInt64(second + 1), of: "b", after: second)
            let ends = publishers.endsSilence(now: start + .seconds(second))
            #expect(!ends)
        }
        _ = hear(&publishers, 11, of: "b", after: 10)
        let ends = [10, 11].map { publishers.endsSilence(now: start + .seconds($0)) }
        #expect(ends == [true, false])
        #expect(publishers.count == 1)
        #expect(hear(&publishers, 9, of: "a", after: 12) == .firstHeard)
    }

    @Test func `without a publisher every ten seconds of silence count`() {
        var publishers = HeardPublishers()
        let ends = [0, 9, 10, 11, 19, 20].map { publishers.endsSilence(now: start + .seconds($0)) }
        #expect(ends == [false, false, true, false, false, true])
    }

    @Test func `the publisher that was heard longest ago is forgotten when there are too many`() {
        var publishers = HeardPublishers()
        for index in 0...HeardPublishers.countMax { _ = hear(&publishers, 1, of: "p\(index)", after: index) }
        #expect(publishers.count == HeardPublishers.countMax)
        #expect(hear(&publishers, 2, of: "p0", after: 100) == .firstHeard)
        #expect(hear(&publishers, 2, of: "p2", after: 100) == .complete)
    }
}
