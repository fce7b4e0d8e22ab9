import Glibc
import JSON
import Synchronization
import Testing

@testable import Telemetry

struct TraceContextTests {
    @Test func `a traceparent reads back as written`() throws {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let context = try #require(TraceContext(traceparent: text))
        #expect(context.traceparent == text)
        #expect(context.traceIDText == "4bf92f3577b34da6a3ce929d0e0e4736" && context.spanIDText == "00f067aa0ba902b7" && context.isSampled)
        let child = context.child()
        #expect(child.traceIDText == context.traceIDText && child.spanID != context.spanID)
        let new = TraceContext.new()
        #expect(TraceContext(traceparent: new.traceparent) == new)
    }

    @Test func `a later version may append fields, this one may not`() {
        let rest = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        #expect(TraceContext(traceparent: "cc\(rest)-what-comes-later")?.isSampled == true)
        #expect(TraceContext(traceparent: "cc\(rest)x") == nil)
        #expect(TraceContext(traceparent: "00\(rest)-x") == nil)
        #expect(TraceContext(traceparent: "ff\(rest)") == nil)
    }

    @Test(
        arguments: [
            "", "00", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ]) func `a traceparent that the recommendation ignores is nil`(_ text: String)
    {
        #expect(TraceContext(traceparent: text) == nil)
    }
}

struct LoggerTests {
    @Test func `a line has its keys in order and is JSON for all values`() throws {
        let pipe = try Pipe()
        let log = Logger(service: "ledger", level: .info, output: LogOutput(descriptor: pipe.writeEnd)).with(["loop": 3])
        let trace = try #require(TraceContext(traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
        struct Broken: Error {}
        log.debug("not shown", ["x": 1])
        log.error(
            "charge \"settled\"", ["z": "a\n\"b\"", "a": .integer(UInt8(7)), "ok": true, "ms": .milliseconds(.microseconds(1_500))],
            error: Broken(), trace: trace)
        let line = try JSONObject(Array(pipe.readLine().utf8))
        #expect(
            line.members.map(\.name) == [
                "time", "level", "service", "message", "trace_id", "span_id", "loop", "z", "a", "ok", "ms", "error",
            ])
        #expect(try line.string("level") == "error" && line.string("service") == "ledger" && line.string("message") == "charge \"settled\"")
        #expect(
            try line.string("z") == "a\n\"b\"" && line.integer("a") == 7 && line.decimalText("ms") == "1.5"
                && line.string("error") == "Broken()")
        let time = try line.string("time")
        #expect(time.count == 27 && time.hasSuffix("Z") && time.hasPrefix("20"))
    }

    @Test func `the task's trace is in the line`() async throws {
        let pipe = try Pipe()
        let log = Logger(service: "auth", output: LogOutput(descriptor: pipe.writeEnd))
        let trace = TraceContext.new()
        TraceContext.$current.withValue(trace) { log.info("hello") }
        #expect(try JSONObject(Array(pipe.readLine().utf8)).string("trace_id") == trace.traceIDText)
    }

    @Test func `lines beyond the bound are dropped and counted`() throws {
        let pipe = try Pipe()
        let log = Logger(service: "auth", output: LogOutput(descriptor: pipe.writeEnd, bytesMax: 100_000))
        // The pipe holds 64 KiB and the test does not read yet: the writer is stuck with its first
        // batch.
        for _ in 0..<4_000 { log.info("one more line") }
        var written = 0
        var dropped = 0
        while written + dropped < 4_000 {
            let line = try JSONObject(Array(pipe.readLine().utf8))
            if try line.string("message") == "log lines dropped" { dropped += Int(try line.integer("count")) } else { written += 1 }
        }
        #expect(written > 0 && dropped > 0 && written + dropped == 4_000)
    }

    @Test func `flush returns when the lines are written`() throws {
        let pipe = try Pipe()
        let log = Logger(service: "auth", output: LogOutput(descriptor: pipe.writeEnd))
        for _ in 0..<10 {
            log.info("a line")
            log.flush()
            #expect(pipe.bytesWaiting > 0)
            _ = pipe.readLine()
        }
    }
}

struct MetricsTests {
    @Test func `the text is what Prometheus reads`() {
        let metrics = Metrics()
        metrics.counter("calls_total", help: "Calls.", labels: ["route": "/v1/\"x\"\\\n"]).add(3)
        metrics.counter("calls_total", help: "Calls.", labels: ["route": "/v1/\"x\"\\\n"]).add()
        metrics.gauge("in_flight", help: "Running.").set(-2)
        metrics.gauge("read", help: "Read.") { 1.5 }
        let histogram = metrics.histogram("seconds", help: "Time.", labels: ["k": "v"], buckets: [0.1, 1])
        histogram.observe(0.1)
        histogram.observe(Duration.milliseconds(500))
        histogram.observe(7)
        #expect(
            String(decoding: metrics.render(), as: UTF8.self) == #"""
                # HELP calls_total Calls.
                # TYPE calls_total counter
                calls_total{route="/v1/\"x\"\\\n"} 4
                # HELP in_flight Running.
                # TYPE in_flight gauge
                in_flight -2
                # HELP read Read.
                # TYPE read gauge
                read 1.5
                # HELP seconds Time.
                # TYPE seconds histogram
                seconds_bucket{k="v",le="0.1"} 1
                seconds_bucket{k="v",le="1.0"} 2
                seconds_bucket{k="v",le="+Inf"} 3
                seconds_sum{k="v"} 7.6
                seconds_count{k="v"} 3

                """#)
    }

    @Test func `too many series share one`() {
        let metrics = Metrics()
        for index in 0..<1_500 { metrics.counter("c_total", help: "", labels: ["id": "\(index)"]).add() }
        let text = String(decoding: metrics.render(), as: UTF8.self)
        #expect(text.contains("c_total{overflow=\"true\"} 500\n"))
        #expect(text.split(separator: "\n").count == 2 + 1_001)
    }

    @Test func `the process reports its memory, time, descriptors and start`() throws {
        let metrics = Metrics()
        metrics.addProcessMetrics()
        let text = String(decoding: metrics.render(), as: UTF8.self)
        func value(_ name: String) throws -> Double {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") })
            return try #require(Double(line.dropFirst(name.count + 1)))
        }
        #expect(try value("process_resident_memory_bytes") > 1_000_000)
        #expect(try value("process_cpu_seconds_total") > 0)
        #expect(try value("process_open_fds") >= 3)
        // The process began between the start of the machine and now. The figure counts whole seconds.
        var uptime = timespec()
        clock_gettime(CLOCK_BOOTTIME, &uptime)
        let now = Double(time(nil))
        #expect(try (now - Double(uptime.tv_sec) - 2...now + 2).contains(value("process_start_time_seconds")))
    }
}

struct TracerTests {
    @Test func `ended spans are sent as OTLP, in batches, with their parents`() async throws {
        let bodies = Bodies()
        let metrics = Metrics()
        let exporter = OTLPExporter(service: "ledger", instance: "i-1", log: .init(service: "t"), metrics: metrics) { bodies.add($0) }
        let tracer = Tracer()
        tracer.export(to: exporter)
        struct Refused: Error {}
        let outer = tracer.start("POST /v1", kind: .server, parent: nil)
        _ = try? await tracer.withSpan("process x", kind: .consumer, parent: outer.context, links: [.new()]) { span in
            #expect(TraceContext.current == span.context)
            span.set("messaging.system", "rabbitmq")
            span.set("count", 7)
            throw Refused()
        }
        outer.end()
        outer.end()
        for _ in 0..<OTLPExporter.batchMax { tracer.start("more").end() }
        await exporter.flush()
        #expect(bodies.all.count == 2)
        let spans = try bodies.spans(0)
        #expect(spans.count == OTLPExporter.batchMax)
        let inner = try #require(spans.first)
        #expect(
            try inner.string("name") == "process x" && inner.integer("kind") == 5
                && inner.string("parentSpanId") == outer.context.spanIDText)
        #expect(try inner.string("traceId") == outer.context.traceIDText && inner.array("links").count == 1)
        #expect(try inner.object("status").integer("code") == 2 && inner.object("status").string("message") == "Refused()")
        #expect(try inner.array("attributes").last?.object?.object("value").string("intValue") == "7")
        #expect(try Int64(inner.string("endTimeUnixNano"))! >= Int64(inner.string("startTimeUnixNano"))!)
        #expect(!spans[1].has("parentSpanId"))
    }

    @Test func `without an exporter a span still carries a context`() {
        let parent = TraceContext.new()
        let span = Tracer().start("x", parent: parent)
        #expect(span.context.traceIDText == parent.traceIDText && span.context != parent)
        span.end()
    }

    @Test func `an unavailable collector costs only spans, which are counted`() async {
        struct Away: Error {}
        let metrics = Metrics()
        let exporter = OTLPExporter(service: "ledger", instance: "i", log: .init(service: "t", level: .error), metrics: metrics) { _ in
            throw Away()
        }
        let tracer = Tracer()
        tracer.export(to: exporter)
        for _ in 0..<10_000 { tracer.start("x", parent: nil).end() }
        for _ in 0..<20 { await exporter.flush() }
        #expect(metrics.counter("otel_spans_dropped_total", help: "").count == 10_000)
    }
}

private final class Bodies: Sendable {
    private let bodies = Mutex<[[UInt8]]>([])

    func add(_ body: [UInt8]) { bodies.withLock { $0.append(body) } }
    var all: [[UInt8]] { bodies.withLock { $0 } }

    func spans(_ index: Int) throws -> [JSONObject] {
        let resource = try #require(JSONObject(all[index]).array("resourceSpans").first?.object)
        let scope = try #require(resource.array("scopeSpans").first?.object)
        return try scope.array("spans").compactMap(\.object)
    }
}

private final class Pipe {
    let readEnd: Int32
    let writeEnd: Int32
    private var rest: [UInt8] = []

    init() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    // Both ends stay open: the LogOutput behind lives as long as the process.

    var bytesWaiting: Int {
        var count: Int32 = 0
        _ = ioctl(readEnd, UInt(FIONREAD), &count)
        return Int(count)
    }

    /// Gives up, with an empty line, after ten seconds.
    func readLine() -> String {
        while true {
            if let end = rest.firstIndex(of: 0x0A) {
                defer { rest.removeFirst(end + 1) }
                return String(decoding: rest[..<end], as: UTF8.self)
            }
            var watched = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
            guard poll(&watched, 1, 10_000) == 1 else { return "" }
            var part = [UInt8](repeating: 0, count: 65_536)
            let count = read(readEnd, &part, part.count)
            guard count > 0 else { return "" }
            rest.append(contentsOf: part[..<count])
        }
    }
}
