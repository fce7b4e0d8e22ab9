import JSON
import Synchronization

/// Gathers ended spans and sends them as OTLP/HTTP JSON (`POST /v1/traces`), at most 512 in one request.
///
/// At most 8,192 spans wait; more are dropped and counted (`otel_spans_dropped_total`). A batch the collector does not take is
/// dropped as well: traces are for people, not for money. The transport is injected; it retries what OTLP allows to retry
/// (429, 502, 503, 504) or not at all.
package final class OTLPExporter: Sendable {
    package typealias Send = @Sendable (_ body: [UInt8]) async throws -> Void

    private let service: String
    private let instance: String
    private let send: Send
    private let waiting = Mutex<[SpanData]>([])
    private let log: Logger
    private let dropped: Counter
    private let sent: Counter

    package static let batchMax = 512
    private static let waitingMax = 8_192

    package init(service: String, instance: String, log: Logger, metrics: Metrics = .shared, send: @escaping Send) {
        (self.service, self.instance, self.log, self.send) = (service, instance, log, send)
        dropped = metrics.counter("otel_spans_dropped_total", help: "Spans that did not reach the collector.")
        sent = metrics.counter("otel_spans_sent_total", help: "Spans the collector took.")
    }

    func add(_ span: SpanData) {
        let kept = waiting.withLock { waiting in
            guard waiting.count < Self.waitingMax else { return false }
            waiting.append(span)
            return true
        }
        if !kept { dropped.add() }
    }

    /// Sends what has gathered after each `pause`, until cancelled; what is left then goes with ``flush()``.
    package func run(pause: @Sendable () async throws -> Void) async {
        var healthy = true
        while (try? await pause()) != nil {
            do {
                try await sendAll()
                if !healthy { log.info("trace export recovered") }
                healthy = true
            } catch {
                if healthy { log.warning("trace export failed", error: error) }
                healthy = false
            }
        }
    }

    /// At shutdown. Errors are dropped with the spans.
    package func flush() async { try? await sendAll() }

    private func sendAll() async throws {
        while true {
            let batch = waiting.withLock { waiting in
                let batch = Array(waiting.prefix(Self.batchMax))
                waiting.removeFirst(batch.count)
                return batch
            }
            guard !batch.isEmpty else { return }
            do {
                try await send(encode(batch))
                sent.add(Int64(batch.count))
            } catch {
                dropped.add(Int64(batch.count))
                throw error
            }
        }
    }

    // MARK: OTLP JSON: ids are hex, 64-bit integers are strings, enums are numbers

    private func encode(_ spans: [SpanData]) -> [UInt8] {
        JSONWriter.object(reserving: spans.count * 512) { json in
            json.array("resourceSpans") { json in
                json.object { json in
                    json.object("resource") { json in
                        Self.attributes(
                            [("service.name", .string(service)), ("service.instance.id", .string(instance))], "attributes", &json)
                    }
                    json.array("scopeSpans") { json in
                        json.object { json in
                            json.object("scope") { $0.field("name", "smartspec-gateway") }
                            json.array("spans") { json in for span in spans { Self.encode(span, &json) } }
                        }
                    }
                }
            }
        }
    }

    private static func encode(_ span: SpanData, _ json: inout JSONWriter) {
        json.object { json in
            json.field("traceId", span.context.traceIDText)
            json.field("spanId", span.context.spanIDText)
            if let parent = span.parentSpanID {
                json.field("parentSpanId", TraceContext(traceHigh: 0, traceLow: 0, spanID: parent, flags: 0).spanIDText)
            }
            json.field("name", span.name)
            json.field("kind", span.kind.rawValue)
            json.field("startTimeUnixNano", "\(span.startedAt)000")
            json.field("endTimeUnixNano", "\(span.endedAt)000")
            attributes(span.attributes, "attributes", &json)
            json.array("links") { json in
                for link in span.links {
                    json.object { json in
                        json.field("traceId", link.traceIDText)
                        json.field("spanId", link.spanIDText)
                    }
                }
            }
            json.object("status") { json in
                json.field("code", span.failure == nil ? 0 : 2)
                if let failure = span.failure { json.field("message", failure) }
            }
        }
    }

    private static func attributes(_ attributes: [(String, LogValue)], _ name: String, _ json: inout JSONWriter) {
        json.array(name) { json in
            for (key, value) in attributes {
                json.object { json in
                    json.field("key", key)
                    json.object("value") { json in
                        switch value.storage {
                        case .string(let text): json.field("stringValue", text)
                        case .integer(let integer): json.field("intValue", "\(integer)")
                        case .bool(let bool): json.field("boolValue", bool)
                        case .double:
                            json.key("doubleValue")
                            value.write(into: &json)
                        }
                    }
                }
            }
        }
    }
}
