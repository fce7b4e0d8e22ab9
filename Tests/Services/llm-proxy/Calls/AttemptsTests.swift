import Contracts
import Testing
import Values

@testable import LLMProxy

struct AttemptsTests {
    private static let enough = Credits(whole: 100)

    private func bound(_ provider: String, price: Int64 = 1_000_000_000) -> CallBound {
        var model = CallBoundTests.model(price: PriceVersion(prompt: price, completion: price))
        model.provider.name = provider
        return CallBound(
            model: model, prompt: PromptSize(textBytes: 984, messages: 1, pictures: 0), choices: 1, callerLimit: nil, isStreaming: true,
            logprobs: 0)
    }

    /// Returns the providers that are called after the first one, each with its pause in milliseconds.
    private func steps(
        _ routes: [CallBound], _ failures: [ProviderFailure.Kind], granted: Credits = enough, open: Set<String> = []
    ) -> [String] {
        var attempts = Attempts(routes)
        return failures.compactMap { kind in
            switch attempts.next(after: ProviderFailure(kind), granted: granted, isOpen: open.contains) {
            case .send(let bound, let pause): "\(bound.model.provider.name) \(pause.wholeMilliseconds)"
            case .giveUp: nil
            }
        }
    }

    private let refused = ProviderFailure.Kind.refused(status: 503, retryAfter: nil)

    @Test func `the routes follow in their order, and then the first provider that may answer again`() {
        #expect(steps([bound("a"), bound("b")], [refused, .timedOut, refused]) == ["b 0", "a 250"])
        #expect(steps([bound("a"), bound("b")], [.timedOut, refused, refused]) == ["b 0", "b 250"])
        #expect(steps([bound("a"), bound("b"), bound("c"), bound("d")], [refused, refused, refused]) == ["b 0", "c 0"])
    }

    @Test(
        arguments: [
            (.unreachable, ["a 250"]), (.refused(status: 500, retryAfter: nil), ["a 250"]),
            (.refused(status: 429, retryAfter: 1), ["a 1000"]),
            (.refused(status: 429, retryAfter: 2), ["a 2000"]), (.refused(status: 429, retryAfter: 3), []),
            (.refused(status: 504, retryAfter: nil), []), (.refused(status: 404, retryAfter: nil), []), (.timedOut, []), (.saturated, []),
            (.wrongAnswer(""), []), (.accountRefused(status: 429), []),
        ] as [(ProviderFailure.Kind, [String])])
    func `a provider is called again once, if it may answer soon`(kind: ProviderFailure.Kind, expected: [String]) {
        #expect(steps([bound("a")], [kind, kind, kind]) == expected)
    }

    @Test(arguments: [.refusedRequest(status: 400, message: nil, param: nil), .cancelled, .failedMidStream] as [ProviderFailure.Kind])
    func `a flaw of the request, and the end of the call, are final`(kind: ProviderFailure.Kind) {
        #expect(steps([bound("a"), bound("b")], [kind]) == [])
    }

    @Test func `a provider whose breaker is open is passed over`() {
        #expect(steps([bound("a"), bound("b"), bound("c")], [refused], open: ["b"]) == ["c 0"])
        #expect(steps([bound("a")], [refused], open: ["a"]) == [])
    }

    @Test func `a route that the hold does not pay for is passed over`() throws {
        let (cheap, dear) = (bound("a"), bound("b", price: 1_000_000_000_000))
        let granted = try #require(cheap.amounts?.most)
        #expect(steps([cheap, dear], [.timedOut], granted: granted) == [])
        #expect(steps([cheap, dear], [.timedOut], granted: Credits(whole: 10_000)) == ["b 0"])
    }
}
