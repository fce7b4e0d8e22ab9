import EventLoop
import Testing

@testable import Ledger

struct ExpiryGateTests {
    @Test func `a batch that takes long keeps holds from expiring while it lasts`() {
        let gate = ExpiryGate(grace: .zero, stall: .zero)
        #expect(gate.isOpen)
        gate.deciding()
        #expect(!gate.isOpen)
        gate.decided()
        #expect(gate.isOpen)
    }

    @Test func `and for the grace after it`() {
        let gate = ExpiryGate(grace: .zero)
        gate.deciding()
        #expect(gate.isOpen, "a batch that has just begun is no outage")
        gate.decided()
        #expect(gate.isOpen)
        let patient = ExpiryGate(grace: .seconds(3_600), stall: .zero)
        patient.deciding()
        patient.decided()
        #expect(!patient.isOpen)
    }
}
