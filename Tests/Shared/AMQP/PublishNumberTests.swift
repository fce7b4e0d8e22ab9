import AMQP
import TestSupport
import Testing

struct PublishNumberTests {
    @Test(arguments: ["", "/", "a/", "/1", "a/0", "a/-1", "a/1/2", "a/x", "a/18446744073709551616", "a 1"])
    func `a text of another form is no number`(text: String) { #expect(PublishNumber(text) == nil) }

    @Test func `a number is read as it was written, up to the largest`() throws {
        let number = try #require(PublishNumber("k2f9x1/18446744073709551615"))
        #expect(number == PublishNumber(publisher: "k2f9x1", number: .max))
        #expect(PublishNumber(number.text) == number)
        #expect(PublishNumber(String(repeating: "p", count: 41) + "/1") == nil)
    }

    @Test func `numbers follow the order of writing, over a lost message and a lost connection`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            try await withPublisher(broker) { publisher in
                try await withConsumer(broker, .queue("work")) { consumer in
                    func numbered(_ id: String, to queue: String = "work") -> OutgoingMessage {
                        var message = message(id, to: queue)
                        (message.isNumbered, message.mandatory) = (true, false)
                        return message
                    }
                    func receive() async throws -> Delivery {
                        let delivery = try #require(try await consumer.next(max: 1).first)
                        consumer.ack(delivery)
                        return delivery
                    }
                    let batch = [numbered("a"), message("plain", to: "work"), numbered("lost", to: "nowhere"), numbered("b")]
                    #expect(await publisher.publish(batch: batch, within: .seconds(30)).allSatisfy { $0.isSuccess })
                    let first = try #require(try await receive().publishNumber)
                    #expect(first.number == 1)
                    #expect(try await receive().publishNumber == nil)
                    #expect(try await receive().publishNumber == PublishNumber(publisher: first.publisher, number: 3))

                    // A missing exchange closes the channel; the next message goes over another one.
                    var refused = numbered("c")
                    refused.exchange = "missing"
                    await #expect(throws: PublishError.self) { try await publisher.publish(refused, within: .seconds(30)) }
                    try await publisher.publish(numbered("d"), within: .seconds(30))
                    #expect(try await receive().publishNumber == PublishNumber(publisher: first.publisher, number: 5))
                }
            }
        }
    }

    @Test func `each publisher has a name of its own`() async throws {
        try await TestBroker.with { broker in
            try broker.declareQueue("work")
            var sent = message("m", to: "work")
            sent.isNumbered = true
            for _ in 0..<2 { try await withPublisher(broker) { [sent] in try await $0.publish(sent, within: .seconds(30)) } }
            try await withConsumer(broker, .queue("work")) { consumer in
                var numbers: [PublishNumber] = []
                while numbers.count < 2 { numbers += try await consumer.next(max: 2).compactMap(\.publishNumber) }
                #expect(numbers.map(\.number) == [1, 1])
                #expect(Set(numbers.map(\.publisher)).count == 2)
            }
        }
    }
}
