import Glibc

/// Microseconds since 1970-01-01 UTC, and their text (RFC 3339).
package enum Timestamp {
    package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }

    /// Writes UTC with six fraction digits: `2026-11-20T09:30:00.000001Z`. The years 0 to 9999 have
    /// four digits; other years are written as year 0 or 9999.
    package static func text(_ microseconds: Int64) -> String {
        let seconds = microseconds.quotient(flooredBy: 1_000_000)
        let days = seconds.quotient(flooredBy: 86_400)
        let second = seconds.remainder(flooredBy: 86_400)
        let date = civil(fromDays: days)
        return String(unsafeUninitializedCapacity: 27) { output in
            func put(_ value: Int64, _ digits: Int, _ start: Int, _ separator: UInt8) {
                var rest = value
                for index in stride(from: start + digits - 1, through: start, by: -1) {
                    output[index] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                output[start + digits] = separator
            }
            put(min(max(date.year, 0), 9_999), 4, 0, UInt8(ascii: "-"))
            put(date.month, 2, 5, UInt8(ascii: "-"))
            put(date.day, 2, 8, UInt8(ascii: "T"))
            put(second / 3_600, 2, 11, UInt8(ascii: ":"))
            put(second / 60 % 60, 2, 14, UInt8(ascii: ":"))
            put(second % 60, 2, 17, UInt8(ascii: "."))
            put(microseconds.remainder(flooredBy: 1_000_000), 6, 20, UInt8(ascii: "Z"))
            return 27
        }
    }

    /// Reads UTC (`Z`) with no or up to six fraction digits.
    package static func read(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
        let separators: [(Int, Character)] = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")]
        for (index, separator) in separators where bytes[index] != separator.asciiValue { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            var value: Int64 = 0
            for byte in bytes[range] {
                guard (48...57).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60
        else { return nil }
        var fraction: Int64 = 0
        if bytes.count > 20 {
            let digits = 20..<bytes.count - 1
            guard bytes[19] == UInt8(ascii: "."), (1...6).contains(digits.count), let value = number(digits) else { return nil }
            fraction = value
            for _ in digits.count..<6 { fraction *= 10 }
        }
        let days = days(fromCivil: year, month, day)
        guard civil(fromDays: days) == (year, month, day) else { return nil }
        return (days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000 + fraction
    }

    // MARK: The calendar

    /// Returns the proleptic Gregorian date of a day number, counted from 1970-01-01. Years run
    /// from March, so that the leap day comes last.
    package static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted.quotient(flooredBy: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    package static func days(fromCivil year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.quotient(flooredBy: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int64 {
    package func quotient(flooredBy divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    fileprivate func remainder(flooredBy divisor: Int64) -> Int64 {
        let remainder = self % divisor
        return remainder < 0 ? remainder + divisor : remainder
    }
}
