import AMQP
import TestSupport
import Testing

struct TLSTests {
    @Test func `amqps carries confirms and deliveries, and refuses a peer it cannot verify`() async throws {
        let certificate = try TestCertificate(names: "DNS:localhost")
        try await PrivateBroker.with(certificate: certificate) { node in
            try await TestBroker.with(url: node.tlsURL, api: node.api) { broker in
                try broker.declareQueue("work")
                try await withPublisher(broker, { $0.certificateAuthorities = certificate.certificate }) { publisher in
                    // Together more than the socket takes at once.
                    let batch = (0..<100).map { index in
                        var large = message("\(index)", to: "work")
                        large.body = Array(repeating: UInt8(truncatingIfNeeded: index), count: 100_000)
                        return large
                    }
                    let results = await publisher.publish(batch: batch, within: .seconds(30))
                    #expect(results.allSatisfy { $0.isSuccess })
                    try await withConsumer(broker, .queue("work"), { $0.certificateAuthorities = certificate.certificate }) { consumer in
                        let deliveries = try await gather(100, from: consumer)
                        #expect(deliveries.map(\.body) == batch.map(\.body))
                        for delivery in deliveries { consumer.ack(delivery) }
                    }
                }

                // The system's authorities do not know this certificate.
                let stranger = try AMQPConfiguration(url: broker.url, connectionName: "test:stranger")
                #expect(try await firstLine(of: stranger).contains("SSL peer"))
                // The certificate is for localhost.
                var misnamed = try AMQPConfiguration(url: broker.url, connectionName: "test:misnamed")
                misnamed.certificateAuthorities = certificate.certificate
                misnamed.hosts[0].name = "127.0.0.1"
                #expect(try await firstLine(of: misnamed).contains("SSL hostname"))
            }
        }
    }
}
