import Contracts
import Testing
import Values

@testable import LLMProxy

/// Tests the decisions of a metered call as values. A token costs a thousandth of a credit, and the
/// prompt of ``CallBoundTests`` has at most 1,000 tokens, likely 246.
struct MeteredCallTests {
    private func tokens(_ count: Int64) -> Credits { CallBoundTests.tokens(count) }
    private func usage(_ prompt: Int64, _ completion: Int64) -> Usage {
        Usage(promptTokens: prompt, completionTokens: completion)
    }

    private func call(limit: Int64? = nil, streams: Bool = true) throws -> CallState {
        let bound = CallBoundTests.bound(limit: limit, streams: streams)
        return CallState(bound, try #require(bound.amounts))
    }

    private func reply(
        _ status: HoldReply.Status = .granted, _ granted: Int64 = 0, available: Int64 = 5_000, spendable: Int64 = 5_000
    ) -> HoldReply {
        HoldReply(
            chargeID: .make(), status: status, granted: tokens(granted), available: tokens(available), spendable: tokens(spendable))
    }

    /// Returns a call whose hold pays for the prompt and `output` tokens.
    private func held(_ output: Int64, limit: Int64? = nil, streams: Bool = true) throws -> CallState {
        var call = try call(limit: limit, streams: streams)
        guard case .send = call.on(.held(reply(.granted, 1_000 + output))) else {
            Issue.record("not sent")
            return call
        }
        return call
    }

    private func ended(
        _ answer: CallEnd.Answer, _ delivered: Usage, by cause: CallFacts.End = .completed, isAcknowledged: Bool = true
    ) -> CallState.Event {
        .ended(
            CallEnd(
                answer: answer, stoppedBy: cause, delivered: delivered, estimatedPromptTokens: 246,
                isClientGone: cause == .clientDisconnected,
                isAcknowledged: isAcknowledged))
    }

    // MARK: The hold

    @Test func `a granted hold sends the request with the limit that it pays for`() throws {
        var unary = try call(limit: 300, streams: false)
        #expect(unary.on(.held(reply(.granted, 1_200))) == .send(OutputLimit(tokens: 200, isSent: true, isClamped: true)))
        var stream = try call(limit: 300)
        #expect(stream.on(.held(reply(.granted, 1_200, spendable: 50))) == .send(OutputLimit(tokens: 250, isSent: true, isClamped: true)))
        #expect(stream.granted == tokens(1_200))
    }

    @Test(arguments: [
        (
            HoldReply.Status.insufficientFunds,
            HoldRefusal.insufficientCredits(balance: CallBoundTests.tokens(5_000), required: CallBoundTests.tokens(564))
        ),
        (.awaitingFunds, .creditsHeld), (.busy, .ledgerUnavailable), (.conflict, .rejected), (.invalid, .rejected),
        // A new charge has no hold that could have expired.
        (.notHeld, .rejected), (.alreadyResolved, .rejected),
    ])
    func `a refused hold sends nothing`(status: HoldReply.Status, refusal: HoldRefusal) throws {
        var call = try call()
        #expect(call.on(.held(reply(status))) == .refuse(refusal))
        #expect(call.limit == nil)
    }

    @Test func `an extension adds to the hold, and a refused one leaves it`() throws {
        var call = try held(100)
        let asked = StreamHold.Extension(step: 1, most: tokens(100), usual: tokens(100), least: tokens(64))
        #expect(call.on(.extended(reply(.granted, 100), asked)) == .lengthen(by: tokens(100)))
        #expect(call.granted == tokens(1_200))
        #expect(call.on(.extended(reply(.notHeld), asked)) == .refuse(.holdGone))
        #expect(call.granted == tokens(1_200))
    }

    // MARK: The client leaves

    @Test func `a client that leaves before the answer makes the gateway listen, later or earlier it cancels`() throws {
        var call = try held(100)
        #expect(call.on(.clientLeft(hasDelivered: false, isUnsent: true)) == .cancel)
        #expect(call.on(.clientLeft(hasDelivered: true, isUnsent: false)) == .cancel)
        #expect(!call.isListening)
        #expect(call.on(.clientLeft(hasDelivered: false, isUnsent: false)) == .listen)
        #expect(call.isListening)
    }

    // MARK: The end

    @Test func `a whole answer is settled at its usage, exactly`() throws {
        var call = try held(100)
        #expect(
            call.on(ended(.whole, usage(9, 50)))
                == .settle(.init(amount: tokens(59), usage: usage(9, 50), isEstimated: false, end: .completed, isImpossible: false)))
        #expect(call.remaining(after: tokens(59)) == tokens(5_000 + 1_100 - 59))
    }

    @Test func `an empty answer, a refusal and a failure before the first token are voided`() throws {
        var call = try held(100)
        for end in [
            ended(.whole, usage(9, 0)), ended(.refused(status: 500), usage(0, 0)), ended(.none, usage(0, 0), by: .providerError),
            ended(.partial, usage(0, 0), by: .timedOut), ended(.none, usage(0, 0), by: .clientDisconnected, isAcknowledged: false),
        ] {
            guard case .void = call.on(end) else {
                Issue.record("\(end) costs")
                continue
            }
        }
    }

    @Test(arguments: [CallFacts.End.providerError, .timedOut, .clientDisconnected, .holdExhausted])
    func `a part of a stream is settled, whatever stopped it`(cause: CallFacts.End) throws {
        var call = try held(100)
        #expect(
            call.on(ended(.partial, usage(246, 3), by: cause))
                == .settle(.init(amount: tokens(249), usage: usage(246, 3), isEstimated: false, end: cause, isImpossible: false)))
    }

    @Test func `usage that the call cannot have is settled at most at the hold, and marked`() throws {
        var call = try held(70, limit: 70)
        for reported in [usage(9, 1_000_000_000), usage(1_000_000_000, 5)] {
            #expect(
                call.on(ended(.whole, reported))
                    == .settle(.init(amount: tokens(1_070), usage: reported, isEstimated: true, end: .completed, isImpossible: true)))
        }
        // One token beyond the limit, and a price below the hold.
        #expect(
            call.on(ended(.whole, usage(9, 71)))
                == .settle(.init(amount: tokens(80), usage: usage(9, 71), isEstimated: true, end: .completed, isImpossible: true)))
    }

    @Test func `a unit without a price is charged at the hold, and marked, also where the prompt is estimated`() throws {
        var call = try held(100)
        var spoken = usage(9, 5)
        spoken[.audioOutput] = 2
        for isEstimated in [false, true] {
            let end = CallEnd(answer: .whole, delivered: spoken, isEstimated: isEstimated, isAcknowledged: true)
            #expect(
                call.on(.ended(end))
                    == .settle(
                        .init(
                            amount: tokens(1_100), usage: spoken, isEstimated: true, end: .completed, isImpossible: false,
                            isUnpriced: true)))
        }
    }

    @Test func `an answer that the gateway only listened to costs at most the hold, and is no fault of the provider`() throws {
        var call = try held(100)
        _ = call.on(.clientLeft(hasDelivered: false, isUnsent: false))
        #expect(
            call.on(ended(.whole, usage(9, 2_000), by: .clientDisconnected))
                == .settle(
                    .init(amount: tokens(1_100), usage: usage(9, 2_000), isEstimated: true, end: .clientDisconnected, isImpossible: false)))
    }

    // MARK: Reports

    @Test func `a report pays for nothing before the provider has the request, then for the prompt, then for the output`() throws {
        var call = try held(100)
        #expect(call.usedSoFar(delivered: usage(0, 0), isAcknowledged: false) == .zero)
        #expect(call.usedSoFar(delivered: usage(0, 0), isAcknowledged: true) == tokens(246))
        #expect(call.usedSoFar(delivered: usage(246, 20), isAcknowledged: true) == tokens(266))
        // The client gets none of an answer that the gateway listens to.
        _ = call.on(.clientLeft(hasDelivered: false, isUnsent: false))
        #expect(call.usedSoFar(delivered: usage(246, 20), isAcknowledged: true) == tokens(246))
    }
}
