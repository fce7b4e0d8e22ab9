import Testing
import Values

@testable import Web

struct TimesTests {
    private let now = Viewer.test().now

    @Test(arguments: [
        (Language.en, "UTC", "22 Nov 2026, 07:02"), (.en, "Asia/Bangkok", "22 Nov 2026, 14:02"),
        (.en, "Asia/Kolkata", "22 Nov 2026, 12:32"),
        (.en, "America/New_York", "22 Nov 2026, 02:02"), (.th, "Asia/Bangkok", "22 พ.ย. 2569 14:02"),
        (.th, "Asia/Kolkata", "22 พ.ย. 2569 12:32"), (.th, "UTC", "22 พ.ย. 2569 07:02"), (.en, "Mars/Olympus", "22 Nov 2026, 07:02"),
        (.en, "", "22 Nov 2026, 07:02"),
    ])
    func `a moment is shown in the zone and the language of the viewer`(language: Language, zone: String, text: String) {
        #expect(Self.text(of: Viewer.test(language, zone: zone).moment(now)) == text)
    }

    @Test(arguments: [
        (Language.en, "22 Nov 2026", "22 November 2026 at 14:02:03 GMT+7"),
        (.th, "22 พ.ย. 2569", "22 พฤศจิกายน 2569 เวลา 14 นาฬิกา 02 นาที 03 วินาที GMT+7"),
    ])
    func `a day has the exact time as its title`(language: Language, day: String, title: String) {
        let html = Viewer.test(language, zone: "Asia/Bangkok").day(now).text
        #expect(html == "<time datetime=\"2026-11-22T07:02:03.000Z\" title=\"\(title)\">\(day)</time>")
    }

    @Test func `a day is the day in the zone of the viewer`() {
        let evening = now + .seconds(12 * 3_600)
        #expect(Self.text(of: Viewer.test(zone: "UTC").day(evening)) == "22 Nov 2026")
        #expect(Self.text(of: Viewer.test(zone: "Asia/Bangkok").day(evening)) == "23 Nov 2026")
    }

    @Test(arguments: [
        (-3_600, "just now", "เมื่อสักครู่"), (0, "just now", "เมื่อสักครู่"), (59, "just now", "เมื่อสักครู่"), (60, "1 minute ago", "1 นาทีที่แล้ว"),
        (3_599, "59 minutes ago", "59 นาทีที่แล้ว"), (3_600, "1 hour ago", "1 ชั่วโมงที่แล้ว"), (7_200, "2 hours ago", "2 ชั่วโมงที่แล้ว"),
        (86_399, "23 hours ago", "23 ชั่วโมงที่แล้ว"), (86_400, "1 day ago", "1 วันที่แล้ว"), (172_800, "2 days ago", "2 วันที่แล้ว"),
    ])
    func `a distance is rounded down to its largest unit`(seconds: Int, en: String, th: String) {
        let instant = now + .seconds(-seconds)
        #expect(Self.text(of: Viewer.test(.en).ago(instant)) == en)
        #expect(Self.text(of: Viewer.test(.th).ago(instant)) == th)
    }

    @Test(arguments: [
        (0, "1 second", "1 วินาที"), (1, "1 second", "1 วินาที"), (1_001, "2 seconds", "2 วินาที"), (59_000, "59 seconds", "59 วินาที"),
        (59_001, "1 minute", "1 นาที"), (60_001, "2 minutes", "2 นาที"), (540_000, "9 minutes", "9 นาที"), (-5_000, "1 second", "1 วินาที"),
    ])
    func `a length is rounded up`(milliseconds: Int, en: String, th: String) {
        #expect(Viewer.test(.en).length(.milliseconds(milliseconds)) == en)
        #expect(Viewer.test(.th).length(.milliseconds(milliseconds)) == th)
    }

    @Test func `a day of the calendar is the same day in every zone`() {
        for zone in ["UTC", "Asia/Bangkok", "Pacific/Honolulu"] {
            #expect(Viewer.test(zone: zone).day(named: "2026-11-22") == "22 Nov 2026")
            #expect(Viewer.test(zone: zone).day(named: "2026-11-22", isShort: true) == "22 Nov")
            #expect(Viewer.test(.th, zone: zone).day(named: "2026-11-22") == "22 พ.ย. 2569")
        }
        #expect([1, 9].map { Viewer.test().days($0) } == ["1 day", "9 days"])
    }

    private static func text(of time: HTML) -> String { String(time.text.split(separator: ">")[1].prefix { $0 != "<" }) }
}
