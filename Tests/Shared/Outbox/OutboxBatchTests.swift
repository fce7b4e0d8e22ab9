import AMQP
import Telemetry
import TestSupport
import Testing
import Values

@testable import Outbox

struct OutboxBatchTests {
    @Test func `the first round has all messages without a key and the first of each key, the next what follows`() {
        var batch = OutboxBatch(due([1, 2]) + due([3, 4, 5], key: "a") + due([6], key: "b"))
        #expect(seqs(batch.round) == [1, 2, 3, 6])
        batch.finishRound(batch.round.map { _ in .success(()) })
        #expect(seqs(batch.round) == [4])
        batch.finishRound([.success(())])
        #expect(seqs(batch.round) == [5])
        batch.finishRound([.success(())])
        #expect(batch.round.isEmpty)
        #expect(batch.sent.sorted() == [1, 2, 3, 4, 5, 6])
    }

    @Test(arguments: [PublishError.nacked, .timedOut, .unroutable(code: 312, text: "NO_ROUTE"), .closed(code: 404, text: "")])
    func `no message of a key is sent after a failed one`(error: PublishError) {
        var batch = OutboxBatch(due([1, 2, 3], key: "a"))
        batch.finishRound([.failure(error)])
        #expect(batch.round.isEmpty)
        #expect(batch.failed.map(\.seq) == [1])
        #expect(!batch.isBrokerDown)
    }

    @Test(arguments: [PublishError.disconnected, .blocked, .saturated, .stopped])
    func `a lost connection ends the rounds and fails no message`(error: PublishError) {
        var batch = OutboxBatch(due([1, 2]) + due([3, 4], key: "a"))
        batch.finishRound(batch.round.map { $0.seq == 2 ? .failure(error) : .success(()) })
        #expect(batch.round.isEmpty)
        #expect(batch.isBrokerDown)
        #expect(batch.failed.isEmpty)
        #expect(batch.sent.sorted() == [1, 3])
    }

    @Test func `a message that was not tried stays, with those behind it`() {
        var batch = OutboxBatch(due([1]) + due([2, 3], key: "a"))
        batch.finishRound(batch.round.map { $0.seq == 1 ? .success(()) : nil })
        #expect(batch.round.isEmpty)
        #expect(batch.sent == [1])
        #expect(batch.failed.isEmpty)
        #expect(!batch.isBrokerDown)
    }

    @Test func `only a message that failed before and fails again is no progress`() {
        let failure: [Result<Void, PublishError>?] = [.failure(.nacked)]
        var batch = OutboxBatch(due([1], attempts: 1))
        batch.finishRound(failure)
        #expect(!batch.hasProgress)
        batch = OutboxBatch(due([1]))
        batch.finishRound(failure)
        #expect(batch.hasProgress)
        batch = OutboxBatch(due([1], attempts: 1))
        batch.finishRound([.success(())])
        #expect(batch.hasProgress && batch.hasRecovered)
    }

    @Test func `the sent messages of a key are its first, and the failed one is the next, however rounds end`() {
        var random = SplitMix64(seed: drawSeed())
        for _ in 0..<500 {
            var runs: [DueMessage] = []
            for key in ["a", "b", "c"] {
                for _ in 0..<Int.random(in: 1...6, using: &random) { runs += due([Int64(runs.count)], key: key) }
            }
            var batch = OutboxBatch(runs)
            while !batch.round.isEmpty {
                #expect(Set(batch.round.map(\.orderingKey)).count == batch.round.count)
                batch.finishRound(
                    batch.round.map { _ in
                        switch Int.random(in: 0..<10, using: &random) {
                        case 0: .failure(.nacked)
                        case 1: .failure(.disconnected)
                        default: .success(())
                        }
                    })
            }
            for key in ["a", "b", "c"] {
                let run = seqs(runs.filter { $0.orderingKey == key })
                let done = (batch.sent + batch.failed.map(\.seq)).filter(run.contains)
                #expect(done == Array(run.prefix(done.count)))
            }
        }
    }

    private func seqs(_ messages: [DueMessage]) -> [Int64] { messages.map(\.seq).sorted() }

    private func due(_ seqs: [Int64], key: String? = nil, attempts: Int = 0) -> [DueMessage] {
        seqs.map { seq in
            DueMessage(
                seq: seq, id: .make(), orderingKey: key, exchange: "e", routingKey: "r", type: "t", conversationID: .make(),
                causationID: nil, traceparent: "", body: [], createdAt: Instant(microseconds: 0), attempts: attempts)
        }
    }
}
