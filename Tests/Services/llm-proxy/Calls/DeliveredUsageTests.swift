import Contracts
import JSON
import Testing

@testable import LLMProxy

struct DeliveredUsageTests {
    /// Makes usage of four prompt tokens, all of them cached, and two thoughts.
    private func cached(thoughts: Int64 = 2) -> Usage {
        var usage = Usage.none
        usage[.cachedInput] = 4
        usage[.reasoning] = thoughts
        return usage
    }

    private func answer(_ reported: Usage?, bytes: Int64) throws -> WholeAnswer {
        WholeAnswer(json: try JSONObject(Array("{}".utf8)), reported: reported, contentBytes: bytes)
    }

    @Test func `an estimate of the prompt does not change the units of the answer`() {
        var thoughts = Usage.none
        thoughts[.reasoning] = 2
        let (usage, isEstimated) = thoughts.withPrompt(30)
        #expect(isEstimated)
        #expect((usage[.input], usage[.reasoning], usage[.output]) == (30, 2, 0))
    }

    @Test func `counted output is added to what the provider reported, in its units`() {
        let usage = cached().withOutput(atLeast: 7, of: .output)
        #expect((usage[.cachedInput], usage[.reasoning], usage[.output]) == (4, 2, 5))
        #expect(cached(thoughts: 9).withOutput(atLeast: 7, of: .output) == cached(thoughts: 9))
    }

    @Test func `an answer whose output the provider did not report keeps the units of its prompt`() throws {
        let (usage, isEstimated) = try answer(cached(thoughts: 0), bytes: 8).delivered(promptTokens: 30)
        #expect(isEstimated)
        #expect((usage[.cachedInput], usage[.input], usage[.output]) == (4, 0, 2))
    }

    @Test func `an answer with a result that has no output tokens is its prompt, as reported or as estimated`() throws {
        for (reported, prompt, isEstimated) in [
            (Usage(promptTokens: 9, completionTokens: 0), 9, false), (Usage.none, 30, true), (nil, 30, true),
        ] as [(Usage?, Int64, Bool)] {
            var whole = try answer(reported, bytes: 0)
            #expect(whole.delivered(promptTokens: 30).usage.promptTokens == reported?.promptTokens ?? 0)
            whole.hasUncountedResult = true
            let delivered = whole.delivered(promptTokens: 30)
            #expect(delivered.usage == Usage(promptTokens: prompt, completionTokens: 0))
            #expect(delivered.isEstimated == isEstimated)
        }
    }

    @Test func `a client that leaves pays in the units that the provider reported`() {
        let end = CallEnd(
            answer: .none, stoppedBy: .clientDisconnected, reported: cached(), estimatedPromptTokens: 30, isClientGone: true,
            isAcknowledged: true)
        #expect(end.charge == .usage(cached(), isEstimated: false, end: .clientDisconnected))
    }
}
