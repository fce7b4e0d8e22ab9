import TestSupport
import Testing

@testable import AMQP

struct UnsettledTagsTests {
    @Test func `deliveries before the oldest unsettled one are acknowledged together, the rest one by one`() throws {
        var tags = try out(6)
        #expect(tags.settle(acknowledge(5, 2)) == [.acknowledge(5, multiple: false), .acknowledge(2, multiple: false)])
        #expect(tags.settle(acknowledge(3, 1)) == [.acknowledge(3, multiple: true)])
        #expect(tags.settle(acknowledge(6)) == [.acknowledge(6, multiple: false)])
        #expect(tags.settle(acknowledge(4)) == [.acknowledge(4, multiple: false)])
        #expect(tags.first == tags.next)
    }

    @Test func `rejects leave first, and the multiple acknowledgement names a delivery that is acknowledged`() throws {
        var tags = try out(4)
        #expect(
            tags.settle(acknowledge(1, 2) + [ConsumerRole.Settlement(epoch: 1, tag: 3, kind: .reject(requeue: true))])
                == [.reject(3, requeue: true), .acknowledge(2, multiple: true)])
    }

    @Test func `a delivery is settled once, and only after it was delivered`() throws {
        var tags = try out(2)
        #expect(tags.settle(acknowledge(1, 1, 3)) == [.acknowledge(1, multiple: false)])
        #expect(tags.settle(acknowledge(1)) == [])
        try tags.delivered(3)
        #expect(tags.settle(acknowledge(3, 2)) == [.acknowledge(3, multiple: true)])
    }

    @Test func `the broker removes exactly the settled deliveries, in any order of settling`() throws {
        var random = SplitMix64(seed: drawSeed())
        for _ in 0..<200 {
            var tags = UnsettledTags()
            var atBroker: Set<UInt64> = []
            var unsettled: Set<UInt64> = []
            for _ in 0..<30 {
                for _ in 0..<Int.random(in: 0...5, using: &random) {
                    atBroker.insert(tags.next)
                    unsettled.insert(tags.next)
                    try tags.delivered(tags.next)
                }
                let settled = unsettled.shuffled(using: &random).prefix(Int.random(in: 0...6, using: &random))
                unsettled.subtract(settled)
                let answers = tags.settle(
                    settled.map { tag in
                        let isReject = Int.random(in: 0..<4, using: &random) == 0
                        return ConsumerRole.Settlement(epoch: 1, tag: tag, kind: isReject ? .reject(requeue: false) : .acknowledge)
                    })
                for answer in answers {
                    switch answer {
                    case .reject(let tag, _): #expect(atBroker.remove(tag) != nil)
                    case .acknowledge(let tag, let multiple):
                        #expect(atBroker.remove(tag) != nil)
                        if multiple { atBroker = atBroker.filter { $0 > tag } }
                    }
                }
                #expect(atBroker == unsettled)
            }
        }
    }

    private func out(_ count: UInt64) throws -> UnsettledTags {
        var tags = UnsettledTags()
        for tag in 1...count { try tags.delivered(tag) }
        return tags
    }

    private func acknowledge(_ tags: UInt64...) -> [ConsumerRole.Settlement] {
        tags.map { ConsumerRole.Settlement(epoch: 1, tag: $0, kind: .acknowledge) }
    }
}
