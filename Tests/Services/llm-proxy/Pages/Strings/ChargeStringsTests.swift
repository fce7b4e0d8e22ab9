import Testing
import Web

@testable import LLMProxy

struct ChargeStringsTests {
    @Test(arguments: Language.allCases)
    func `every row says in each language what happened and what is charged`(language: Language) {
        let strings = ChargeStrings(language: language)
        let tables = [ChargeRule.allCases.map(strings.text), EarlyLeaveRule.allCases.map(strings.text)]
        for table in tables {
            #expect(Set(table.map(\.what)).count == table.count)
            for text in table.flatMap({ [$0.what, $0.charged] }) {
                #expect(text.contains { ("ก"..."๙").contains($0) } == (language == .th), "\(text)")
                #expect(text.count { $0 == "`" }.isMultiple(of: 2), "\(text)")
            }
        }
    }
}
