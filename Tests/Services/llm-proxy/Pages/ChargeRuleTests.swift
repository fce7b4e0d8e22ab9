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
}
