import Testing
import Web

@testable import Auth

struct AuditStringsTests {
    @Test(arguments: Language.allCases)
    func `every event has a text of its own in each language`(language: Language) {
        let texts = AuditRecord.Event.allCases.map(AuditStrings(language: language).text)
        #expect(Set(texts).count == AuditRecord.Event.allCases.count)
        for text in texts { #expect(text.contains { ("ก"..."๙").contains($0) } == (language == .th), "\(text)") }
    }

    @Test(arguments: Language.allCases)
    func `every act has its texts in each language`(language: Language) {
        let strings = AdminUserStrings(language: language)
        for texts in [strings.name, strings.title, strings.consequence, strings.done] {
            let found = AdminAct.allCases.map(texts)
            #expect(Set(found).count == AdminAct.allCases.count)
            for text in found { #expect(text.contains { ("ก"..."๙").contains($0) } == (language == .th), "\(text)") }
        }
    }
}
