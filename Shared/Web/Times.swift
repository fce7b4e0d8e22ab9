import FoundationEssentials
import FoundationInternationalization
import Text
package import Values

/// Times as people read them, in the zone and the language of the viewer.
extension Viewer {
    /// Day and time, `22 Nov 2026, 14:02`, with the exact time in `title`.
    package func moment(_ instant: Instant) -> HTML {
        let clock = style().hour(.twoDigits(amPM: .omitted)).minute(.twoDigits)
        return time(instant, text: dayText(instant) + language(en: ", ", th: " ") + format(instant, clock))
    }

    /// The day, `22 Nov 2026`, with the exact time in `title`.
    package func day(_ instant: Instant) -> HTML { time(instant, text: dayText(instant)) }

    /// A day of the calendar, `2026-11-22`, in words.
    /// - Parameter isShort: leaves out the year.
    package func day(named text: String, isShort: Bool = false) -> String {
        guard let midnight = Instant("\(text)T00:00:00Z") else { return text }
        var style = isShort ? style().day().month(.abbreviated) : style(.abbreviated, .omitted)
        style.timeZone = .gmt
        return format(midnight, style)
    }

    /// The day as plain text.
    package func dayText(_ instant: Instant) -> String { format(instant, style(.abbreviated, .omitted)) }

    /// The distance to the present, `3 minutes ago`, with the exact time in `title`.
    package func ago(_ instant: Instant) -> HTML { time(instant, text: ago(now - instant)) }

    /// Reads the value of a date field, `2026-11-22`.
    /// - Returns: the last second of the day in the zone of the viewer; nil for a text that is no date.
    package func end(ofDay text: String) -> Instant? {
        guard let midnight = Instant("\(text)T00:00:00Z") else { return nil }
        let (year, month, day) = Timestamp.civil(fromDays: midnight.day)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: timeZone) ?? .gmt
        let parts = DateComponents(year: Int(year), month: Int(month), day: Int(day), hour: 23, minute: 59, second: 59)
        return calendar.date(from: parts).map { Instant(microseconds: Int64($0.timeIntervalSince1970) * 1_000_000) }
    }

    private func time(_ instant: Instant, text: String) -> HTML {
        // HTML §2.3.5.5 allows three fraction digits at most.
        Web.time("\(instant.description.dropLast(4))Z", .title(format(instant, style(.long, .complete)))) { text }
    }

    private func format(_ instant: Instant, _ style: Date.FormatStyle) -> String {
        Date(timeIntervalSince1970: Double(instant.microseconds) / 1e6).formatted(style)
    }

    private func style(_ date: Date.FormatStyle.DateStyle? = nil, _ time: Date.FormatStyle.TimeStyle? = nil) -> Date.FormatStyle {
        // en_GB: the day before the month, and 24 hours, which people of every country read alike.
        Date.FormatStyle(
            date: date, time: time, locale: Locale(identifier: language(en: "en_GB", th: "th_TH")),
            calendar: Calendar(identifier: language == .th ? .buddhist : .gregorian), timeZone: TimeZone(identifier: timeZone) ?? .gmt)
    }

    private func ago(_ duration: Duration) -> String {
        let minutes = duration.components.seconds / 60
        switch minutes {
        case ..<1: return language(en: "just now", th: "เมื่อสักครู่")
        case ..<60: return language(en: "\(count(minutes, "minute")) ago", th: "\(minutes) นาทีที่แล้ว")
        case ..<1_440: return language(en: "\(count(minutes / 60, "hour")) ago", th: "\(minutes / 60) ชั่วโมงที่แล้ว")
        default: return language(en: "\(count(minutes / 1_440, "day")) ago", th: "\(minutes / 1_440) วันที่แล้ว")
        }
    }

    /// A length of time, rounded up to whole minutes or seconds: `9 minutes`.
    package func length(_ duration: Duration) -> String {
        let seconds = max(1, Int64(duration.fractionalSeconds.rounded(.up)))
        if seconds < 60 { return language(en: count(seconds, "second"), th: "\(seconds) วินาที") }
        let minutes = (seconds + 59) / 60
        return language(en: count(minutes, "minute"), th: "\(minutes) นาที")
    }

    /// A number of days: `9 days`.
    package func days(_ number: Int64) -> String { language(en: count(number, "day"), th: "\(number) วัน") }

    private func count(_ number: Int64, _ unit: String) -> String { number == 1 ? "1 \(unit)" : "\(number) \(unit)s" }
}
