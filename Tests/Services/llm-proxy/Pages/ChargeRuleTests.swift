import Foundation
import TestSupport
import Testing

@testable import LLMProxy

struct ChargeRuleTests {
    @Test func `docs/billing-policy.md has the rows of the page, in their order`() throws {
        let document = try String(contentsOfFile: TestDatabase.packageRoot + "/docs/billing-policy.md", encoding: .utf8)
        for (head, rows) in [
            ("| row | what happened | charged |", ChargeRule.allCases.map(\.rawValue)),
            ("| row | what the gateway saw within the 10 s | charged |", EarlyLeaveRule.allCases.map(\.rawValue)),
        ] {
            let lines = document.split(separator: "\n", omittingEmptySubsequences: false).drop { $0 != head }.dropFirst(2)
            #expect(lines.prefix { $0.hasPrefix("|") }.map { String($0.split(separator: "`")[1]) } == rows)
        }
    }

    @Test func `each row has an anchor of its own`() {
        let rows = ChargeRule.allCases.map(\.rawValue) + EarlyLeaveRule.allCases.map(\.rawValue)
        #expect(Set(rows).count == rows.count)
    }

    @Test func `each row has a test of what it promises`() throws {
        let files = try #require(FileManager.default.enumerator(atPath: TestDatabase.packageRoot + "/Tests"))
        let tests = try files.compactMap { $0 as? String }.filter { $0.hasSuffix("Tests.swift") }
            .map { try String(contentsOfFile: "\(TestDatabase.packageRoot)/Tests/\($0)", encoding: .utf8) }.joined()
        for name in ChargeRule.allCases.map(test) + EarlyLeaveRule.allCases.map(test) {
            #expect(tests.contains("func `\(name)`("), "\(name)")
        }
    }

    private func test(of rule: ChargeRule) -> String {
        switch rule {
        case .complete: "a whole answer is settled at its usage, exactly"
        case .completeAfterLeaving: "an answer that completes while the gateway listens is charged completely"
        case .streamStopped: "the delivered part of a stream is charged for every cause of its end"
        case .streamOutOfCredits: "a stream refused for credits ends after the covered part, charged, without DONE"
        case .leftBeforeAnswer: "a client that leaves before the answer makes the gateway listen, later or earlier it cancels"
        case .providerFailed: "a call that fails before its first token costs nothing"
        case .answerCut: "an answer that ends early before its first token costs nothing: its void is sent"
        case .answerUnusable: "an answer of another media type is a provider error, reaches no client and costs nothing"
        case .streamUnfinished: "a stream without its end breaks off, and what was delivered is charged"
        case .noOutput: "an empty answer and a refusal cost nothing, with and without the client"
        case .embeddings: "embeddings cost their prompt"
        case .transcriptions: "30 s that have begun count"
        case .pictures: "pictures that came are charged by their class"
        case .speech: "sound passes through as it comes, and costs its characters"
        case .videos: "a video is held when it is ordered, and charged once when it is complete"
        case .refused: "a refused hold sends nothing"
        case .notConfirmed: "a stream that is cut ends with the id of its charge if neither broker nor outbox took the charge"
        case .gatewayFailed: "a report pays for nothing before the provider has the request, then for the prompt, then for the output"
        case .reading: "reading models and prices holds nothing"
        case .ownServers: "the account of the named user is held and charged, and hold, charge and receipt name the server"
        }
    }

    private func test(of rule: EarlyLeaveRule) -> String {
        switch rule {
        case .complete: "a stream that completes while the gateway listens is charged completely"
        case .failed: "a provider that refuses or dies while the gateway listens costs nothing"
        case .notSent, .providerSilent: "a client that leaves a provider without the request, or a silent one, pays nothing"
        case .otherwise: "a silent provider with the request costs the prompt, and then the call is cancelled"
        }
    }
}
