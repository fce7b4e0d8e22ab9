import TestSupport
import Testing

@testable import AMQP

struct OpenTagsTests {
    @Test func `deliveries before the oldest open one are acknowledged together, the rest one by one`() throws {
        var tags = try out(6)
        #expect(tags.conclude(acknowledge(5, 2)) == [.acknowledge(5, multiple: false), .acknowledge(2, multiple: false)])
        #expect(tags.conclude(acknowledge(3, 1)) == [.acknowledge(3, multiple: true)])
        #expect(tags.conclude(acknowledge(6)) == [.acknowledge(6, multiple: false)])
        #expect(tags.conclude(acknowledge(4)) == [.acknowledge(4, multiple: false)])
        #expect(tags.first == tags.next)
    }

    @Test func `rejects leave first, and the multiple acknowledgement names a delivery that is acknowledged`() throws {
        var tags = try out(4)
        #expect(
            tags.conclude(acknowledge(1, 2) + [ConsumerRole.Conclusion(epoch: 1, tag: 3, kind: .reject(requeue: true))])
                == [.reject(3, requeue: true), .acknowledge(2, multiple: true)])
    }

    @Test func `a delivery is concluded once, and only after it was delivered`() throws {
        var tags = try out(2)
        #expect(tags.conclude(acknowledge(1, 1, 3)) == [.acknowledge(1, multiple: false)])
        #expect(tags.conclude(acknowledge(1)) == [])
        try tags.delivered(3)
        #expect(tags.conclude(acknowledge(3, 2)) == [.acknowledge(3, multiple: true)])
    }

    @Test func `the broker removes exactly the concluded deliveries, in any order of concluding`() throws {
        var random = SplitMix64(seed: drawSeed())
        for _ in 0..<200 {
            var tags = OpenTags()
            var atBroker: Set<UInt64> = []
            var open: Set<UInt64> = []
            for _ in 0..<30 {
                for _ in 0..<Int.random(in: 0...5, using: &random) {
                    atBroker.insert(tags.next)
                    open.insert(tags.next)
                    try tags.delivered(tags.next)
                }
                let concluded = open.shuffled(using: &random).prefix(Int.random(in: 0...6, using: &random))
                open.subtract(concluded)
                let answers = tags.conclude(
                    concluded.map { tag in
                        let isReject = Int.random(in: 0..<4, using: &random) == 0
                        return ConsumerRole.Conclusion(epoch: 1, tag: tag, kind: isReject ? .reject(requeue: false) : .acknowledge)
                    })
                for answer in answers {
                    switch answer {
                    case .reject(let tag, _): #expect(atBroker.remove(tag) != nil)
                    case .acknowledge(let tag, let multiple):
                        #expect(atBroker.remove(tag) != nil)
                        if multiple { atBroker = atBroker.filter { $0 > tag } }
                    }
                }
                #expect(atBroker == open)
            }
        }
    }

    private func out(_ count: UInt64) throws -> OpenTags {
        var tags = OpenTags()
        for tag in 1...count { try tags.delivered(tag) }
        return tags
    }

    private func acknowledge(_ tags: UInt64...) -> [ConsumerRole.Conclusion] {
        tags.map { ConsumerRole.Conclusion(epoch: 1, tag: $0, kind: .acknowledge) }
    }
}
