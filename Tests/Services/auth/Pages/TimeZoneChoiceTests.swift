import Testing
import Web

@testable import Auth

struct TimeZoneChoiceTests {
    private static let names: Set = [
        "Asia/Tokyo", "Asia/Bangkok", "America/Indiana/Knox", "Europe/London", "Etc/GMT+7", "posix/Asia/Bangkok", "UTC", "GB", "posixrules",
        "America/Port_of_Spain",
    ]

    private func lines(_ language: Language = .en, chosen: String = "UTC") -> [String] {
        TimeZoneChoice(language: language).groups(TimeZoneRegion.all(Self.names), chosen: chosen).map { group in
            "\(group.title): " + group.options.map { "\($0.value) \($0.text)" }.joined(separator: "; ")
        }
    }

    @Test func `zones stand by region in the order of their cities, and other spellings do not`() {
        #expect(
            lines() == [
                "America: America/Indiana/Knox Knox, Indiana; America/Port_of_Spain Port of Spain",
                "Asia: Asia/Bangkok Bangkok; Asia/Tokyo Tokyo", "Europe: Europe/London London", "Other: UTC UTC",
            ])
        #expect(lines(.th).map { $0.prefix { $0 != ":" } } == ["อเมริกา", "เอเชีย", "ยุโรป", "อื่น ๆ"])
    }

    @Test func `the zone of the account stands in the choice, even if it is of no region`() {
        #expect(lines(chosen: "Etc/GMT+7").last == "Other: UTC UTC; Etc/GMT+7 Etc/GMT+7")
        #expect(lines(chosen: "Asia/Tokyo").last == "Other: UTC UTC")
        #expect(lines(chosen: "Asia/Gone").last == "Other: UTC UTC; Asia/Gone Asia/Gone")
    }
}
