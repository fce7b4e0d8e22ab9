import Contracts
import EventLoop
import HTTPClient
import JSON

/// Charges still queued for the ledger: a run begins when those of the last one are settled, so that no side pays for the other.
struct Backlog {
    let stack: BenchStack

    init(_ stack: BenchStack) { self.stack = stack }

    func drained(on loop: EventLoop) async throws {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        let api = try stack.broker("api")
        for _ in 0..<300 {
            let answer = try await client.request(ClientRequest("GET", api + "/api/queues/gw/" + Topology.ledgerCharges.name))
            if try JSONObject(answer.body).optionalInteger("messages") == 0 { return }
            try await loop.sleep(for: .milliseconds(200))
        }
        throw BenchError(description: "the ledger does not catch up")
    }
}
