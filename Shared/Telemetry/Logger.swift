import JSON
import Text

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
            json.field("time", Timestamp.text(Timestamp.now()))
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
