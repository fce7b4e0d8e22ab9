import Glibc
import JSON

package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    case debug, info, warning, error

    package init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }

    package var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// JSON lines: `time` (RFC 3339, UTC, microseconds), `level`, `service`, `message`, `trace_id` and `span_id` when a trace is
/// known, then the fields in the order given.
///
/// The message is constant text, so that it can be searched and counted; what varies is a field. A line is formatted by the
/// caller (about a microsecond) and written by one thread; when that thread cannot keep up, lines are dropped and counted.
package struct Logger: Sendable {
    package let service: String
    package let level: LogLevel
    private let output: LogOutput
    private let fields: LogFields

    package init(service: String, level: LogLevel = .info, output: LogOutput = .standard) {
        self.init(service: service, level: level, output: output, fields: [:])
    }

    private init(service: String, level: LogLevel, output: LogOutput, fields: LogFields) {
        (self.service, self.level, self.output, self.fields) = (service, level, output, fields)
    }

    /// A logger whose lines carry these fields too.
    package func with(_ fields: LogFields) -> Logger {
        Logger(service: service, level: level, output: output, fields: self.fields + fields)
    }

    package func debug(_ message: StaticString, _ fields: @autoclosure () -> LogFields = [:], trace: TraceContext? = nil) {
        guard level <= .debug else { return }
        write(.debug, message, fields(), nil, trace)
    }

    package func info(_ message: StaticString, _ fields: @autoclosure () -> LogFields = [:], trace: TraceContext? = nil) {
        guard level <= .info else { return }
        write(.info, message, fields(), nil, trace)
    }

    package func warning(
        _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:], error: (any Error)? = nil, trace: TraceContext? = nil
    ) {
        guard level <= .warning else { return }
        write(.warning, message, fields(), error, trace)
    }

    /// A failure is logged once, where it is handled, with its whole cause as `error`.
    package func error(
        _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:], error: (any Error)? = nil, trace: TraceContext? = nil
    ) {
        write(.error, message, fields(), error, trace)
    }

    /// Returns when everything logged before has been written, or after a second.
    package func flush() { output.flush() }

    private func write(_ level: LogLevel, _ message: StaticString, _ fields: LogFields, _ error: (any Error)?, _ trace: TraceContext?) {
        var json = JSONWriter(reserving: 384)
        json.object { json in
            json.field("time", WallClock.now().text)
            json.field("level", level.name)
            json.field("service", service)
            json.key("message")
            json.string(message)
            if let trace = trace ?? TraceContext.current {
                json.field("trace_id", trace.traceIDText)
                json.field("span_id", trace.spanIDText)
            }
            for (key, value) in self.fields.pairs {
                json.key(key)
                value.write(into: &json)
            }
            for (key, value) in fields.pairs {
                json.key(key)
                value.write(into: &json)
            }
            if let error { json.field("error", String(describing: error)) }
        }
        output.append(line: json.bytes)
    }
}

/// Microseconds since 1970, UTC.
struct WallClock {
    let microseconds: Int64

    static func now() -> WallClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallClock(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    /// `2026-11-20T11:09:16.000042Z`
    var text: String {
        let seconds = microseconds / 1_000_000
        let days = seconds / 86_400
        let second = seconds % 86_400
        // Civil date from days: Howard Hinnant's algorithm, for years since 1970.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
        return String(unsafeUninitializedCapacity: 27) { output in
            func put(_ value: Int64, _ digits: Int, _ start: Int, _ separator: UInt8) {
                var rest = value
                for index in stride(from: start + digits - 1, through: start, by: -1) {
                    output[index] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                output[start + digits] = separator
            }
            put(year, 4, 0, 0x2D)
            put(civilMonth, 2, 5, 0x2D)
            put(day, 2, 8, 0x54)
            put(second / 3_600, 2, 11, 0x3A)
            put(second / 60 % 60, 2, 14, 0x3A)
            put(second % 60, 2, 17, 0x2E)
            put(microseconds % 1_000_000, 6, 20, 0x5A)
            return 27
        }
    }
}
