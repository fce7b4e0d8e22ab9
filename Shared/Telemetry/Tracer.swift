import Synchronization
import Text
import Values

/// OTLP's numbers.
package enum SpanKind: Int, Sendable {
    case `internal` = 1
    case server = 2
    case client = 3
    case producer = 4
    case consumer = 5
}

/// Makes spans. Without an exporter (``export(to:)``) spans cost next to nothing, but still carry a context to log and to pass on.
package final class Tracer: Sendable {
    package static let shared = Tracer()

    private let exporter = Mutex<OTLPExporter?>(nil)
    private let recording = Atomic<Bool>(false)

    package init() {}

    /// Once, before the first span.
    package func export(to exporter: OTLPExporter) {
        self.exporter.withLock { $0 = exporter }
        recording.store(true, ordering: .releasing)
    }

    /// A span that starts now. Without a parent it starts a trace of its own.
    ///
    /// - Parameter links: contexts that caused this one without containing it: the message behind a retry, the spans of a batch.
    package func start(
        _ name: @autoclosure () -> String, kind: SpanKind = .internal, parent: TraceContext? = TraceContext.current,
        links: [TraceContext] = []
    ) -> Span {
        let context = parent?.child() ?? .new()
        guard recording.load(ordering: .acquiring), context.isSampled, let exporter = exporter.withLock({ $0 }) else {
            return Span(context: context, record: nil)
        }
        let data = SpanData(name: name(), kind: kind, context: context, parentSpanID: parent?.spanID, links: links)
        return Span(context: context, record: SpanRecord(data, exporter))
    }

    /// Records a span that has ended just now, for a caller that carried its context along. One atomic load when nothing is exported.
    ///
    /// - Parameter failure: marks the span as failed; must hold no secret.
    package func record(
        _ name: @autoclosure () -> String, kind: SpanKind, context: TraceContext, parent: TraceContext?, took duration: Duration,
        attributes: @autoclosure () -> LogFields, failure: String? = nil
    ) {
        guard recording.load(ordering: .acquiring), context.isSampled, let exporter = exporter.withLock({ $0 }) else { return }
        var data = SpanData(name: name(), kind: kind, context: context, parentSpanID: parent?.spanID, links: [])
        data.endedAt = data.startedAt
        data.startedAt = data.endedAt - duration.wholeMicroseconds
        data.attributes = attributes().pairs
        data.failure = failure
        exporter.add(data)
    }

    /// Runs `body` inside a span, as the current context; an error thrown becomes the span's status.
    package func withSpan<Value>(
        _ name: @autoclosure () -> String, kind: SpanKind = .internal, parent: TraceContext? = TraceContext.current,
        links: [TraceContext] = [], _ body: (Span) async throws -> Value
    ) async rethrows -> Value {
        let span = start(name(), kind: kind, parent: parent, links: links)
        defer { span.end() }
        return try await TraceContext.$current.withValue(span.context) {
            do {
                return try await body(span)
            } catch {
                span.fail(error)
                throw error
            }
        }
    }
}

/// One operation in a trace. ``end()`` counts once; a span that is never ended is never sent.
package struct Span: Sendable {
    package let context: TraceContext
    fileprivate let record: SpanRecord?

    package func set(_ key: String, _ value: @autoclosure () -> LogValue) { record?.update { $0.attributes.append((key, value())) } }

    /// Marks the span as failed; the text is what ends up in the trace, so it must hold no secret.
    package func fail(_ error: any Error) { record?.update { $0.failure = String(describing: error) } }

    package func end() { record?.end() }
}

struct SpanData: Sendable {
    let name: String
    let kind: SpanKind
    let context: TraceContext
    let parentSpanID: UInt64?
    let links: [TraceContext]
    /// Microseconds since 1970-01-01 UTC.
    var startedAt = Timestamp.now()
    var endedAt: Int64 = 0
    var attributes: [(String, LogValue)] = []
    var failure: String?
}

private final class SpanRecord: Sendable {
    private let data: Mutex<SpanData?>
    private let exporter: OTLPExporter

    init(_ data: SpanData, _ exporter: OTLPExporter) {
        self.data = Mutex(data)
        self.exporter = exporter
    }

    func update(_ change: (inout SpanData) -> Void) {
        data.withLock { data in
            if var changed = data {
                change(&changed)
                data = changed
            }
        }
    }

    func end() {
        guard var ended = data.withLock({ $0.take() }) else { return }
        ended.endedAt = Timestamp.now()
        exporter.add(ended)
    }
}
