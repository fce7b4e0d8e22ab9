import EventLoop
import Testing
import Values

extension SystemTests {
    /// Runs streams that need more credits while the broker is unavailable.
    struct BrokerOutageTests {
        /// `sim-steady` sends 1,200 tokens in 20 s. The first hold pays for 512 of them. The outage
        /// ends when all holds are overdue. The grace gives each proxy the time to reconnect and to
        /// report.
        @Test func `thirty streams outlast an outage longer than their holds: none cut, none late, all charged completely`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register(credits: Credits(whole: 100))
                let before = try await gateway.simulatorStats()
                async let streams = gateway.concurrently(30) { try await gateway.stream(account, model: "sim-steady") }
                try await gateway.until("all are running") { try await gateway.simulatorStats().active >= before.active + 30 }
                try await gateway.stack.stop(.rabbitmq)
                try await gateway.until("all holds are overdue", within: .seconds(60)) {
                    let overdue = try await gateway.overdueHolds(of: account)
                    return overdue == 30
                }
                try await gateway.stack.start(.rabbitmq)
                let streamed = try await streams
                let broken = streamed.filter { !$0.isDone }
                #expect(broken.isEmpty, "\(broken.count) of 30: \(broken.first?.events.last ?? "")")
                try await gateway.until("every charge is settled", within: .seconds(60)) { try await gateway.openHolds(of: account) == 0 }
                #expect(try await gateway.ends(of: account) == [Gateway.End](repeating: .capture, count: 30))
                let charges = try await gateway.charges(of: account)
                #expect(Set(charges.map(\.amount)).count == 1)
            }
        }
    }
}
