import Contracts
import Testing

@testable import LLMProxy

/// Tests the table of docs/billing-policy.md.
struct CallEndTests {
    private static let likely = Usage(promptTokens: 30, completionTokens: 0)

    private func end(_ answer: CallEnd.Answer, _ stoppedBy: CallFacts.End = .completed, output: Int64 = 0) -> CallEnd {
        CallEnd(
            answer: answer, stoppedBy: stoppedBy, delivered: Usage(promptTokens: output > 0 ? 9 : 0, completionTokens: output),
            estimatedPromptTokens: 30, isClientGone: stoppedBy == .clientDisconnected, isAcknowledged: true)
    }

    @Test(arguments: [UsageUnit.cacheWrite, .cacheWrite1h])
    func `a prompt that was written to the cache is charged without an answer`(unit: UsageUnit) {
        var usage = Usage(promptTokens: 9, completionTokens: 0)
        usage[unit] = 150_000
        #expect(CallEnd(answer: .whole, delivered: usage).charge == .usage(usage, isEstimated: false, end: .completed))
    }

    private func isFree(_ end: CallEnd) -> Bool { if case .nothing = end.charge { true } else { false } }

    @Test func `a complete answer is charged completely, also after its client left`() {
        var end = end(.whole, output: 5)
        #expect(end.charge == .usage(Usage(promptTokens: 9, completionTokens: 5), isEstimated: false, end: .completed))
        end.isClientGone = true
        #expect(end.charge == .usage(Usage(promptTokens: 9, completionTokens: 5), isEstimated: false, end: .clientDisconnected))
    }

    @Test func `an empty answer and a refusal cost nothing, with and without the client`() {
        for cause in [CallFacts.End.completed, .clientDisconnected] {
            #expect(isFree(end(.whole, cause)))
            #expect(isFree(end(.refused(status: 429), cause)))
        }
    }

    @Test func `an answer with a result that has no output tokens is charged its prompt`() {
        var end = end(.whole)
        end.delivered = Usage(promptTokens: 9, completionTokens: 0)
        #expect(isFree(end))
        end.hasUncountedResult = true
        #expect(end.charge == .usage(Usage(promptTokens: 9, completionTokens: 0), isEstimated: false, end: .completed))
    }

    @Test(arguments: [CallFacts.End.clientDisconnected, .providerError, .timedOut, .holdExhausted])
    func `the delivered part of a stream is charged for every cause of its end`(cause: CallFacts.End) {
        #expect(
            end(.partial, cause, output: 3).charge
                == .usage(Usage(promptTokens: 9, completionTokens: 3), isEstimated: false, end: cause))
    }

    @Test(arguments: [CallEnd.Answer.none, .partial], [CallFacts.End.providerError, .timedOut, .holdExhausted])
    func `a call that fails before its first token costs nothing`(answer: CallEnd.Answer, cause: CallFacts.End) {
        #expect(isFree(end(answer, cause)))
    }

    @Test func `a client that leaves before the answer began pays the prompt, and what the provider reported`() {
        var end = end(.none, .clientDisconnected)
        #expect(end.charge == .usage(Self.likely, isEstimated: true, end: .clientDisconnected))
        end.reported = Usage(promptTokens: 12, completionTokens: 4)
        #expect(end.charge == .usage(Usage(promptTokens: 12, completionTokens: 4), isEstimated: false, end: .clientDisconnected))
        end.reported = Usage(promptTokens: 0, completionTokens: 4)
        #expect(end.charge == .usage(Usage(promptTokens: 30, completionTokens: 4), isEstimated: true, end: .clientDisconnected))
    }

    @Test func `a client that leaves a provider without the request, or a silent one, pays nothing`() {
        var unacknowledged = end(.none, .clientDisconnected)
        unacknowledged.isAcknowledged = false
        #expect(isFree(unacknowledged))
        var silent = end(.none, .clientDisconnected)
        silent.isProviderSilent = true
        #expect(isFree(silent))
    }

    @Test func `the prompt that a leaving client pays is at most what the least hold pays for`() throws {
        let bound = CallBoundTests.bound(streams: false)
        let likely = Usage(promptTokens: bound.prompt.estimatedTokens(bound.model.limits), completionTokens: 0)
        #expect(try #require(bound.model.price.credits(for: likely)) <= #require(bound.amounts).least)
    }
}
