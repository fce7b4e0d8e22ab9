import EventLoop
import Glibc
import HTTPWire

/// The `Date` header (RFC 9110 §6.6.1), at most one second old.
struct HTTPDate {
    private var bytes: [UInt8] = []
    private var validUntil = MonotonicInstant(nanoseconds: 0)

    mutating func line(now: MonotonicInstant) -> [UInt8] {
        if now >= validUntil {
            validUntil = now + .seconds(1)
            var seconds = time(nil)
            bytes = Self.line(&seconds)
        }
        return bytes
    }

    private static func line(_ seconds: inout time_t) -> [UInt8] {
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let days: [StaticString] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months: [StaticString] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        var line: [UInt8] = []
        func two(_ number: Int32) {
            line.append(UInt8(ascii: "0") + UInt8(number / 10))
            line.append(UInt8(ascii: "0") + UInt8(number % 10))
        }
        line.append("date: ")
        line.append(days[Int(parts.tm_wday)])
        line.append(", ")
        two(parts.tm_mday)
        line.append(" ")
        line.append(months[Int(parts.tm_mon)])
        line.append(" ")
        line.append(decimal: Int(parts.tm_year) + 1_900)
        line.append(" ")
        two(parts.tm_hour)
        line.append(":")
        two(parts.tm_min)
        line.append(":")
        two(parts.tm_sec)
        line.append(" GMT\r\n")
        return line
    }
}
