import Synchronization
import Values

/// The process's metrics, rendered as Prometheus text (exposition format 0.0.4).
///
/// Create a metric once and keep it: creation takes a lock, counting is one relaxed atomic. Asking again for the same name and
/// labels gives the same metric. Labels have few values (a route pattern, never a path; never an id); beyond 1,000 series of one
/// name the rest shares one series with the label `overflow="true"`.
package final class Metrics: Sendable {
    package static let shared = Metrics()

    private let families = Mutex<[String: Family]>([:])
    private static let seriesMax = 1_000

    package init() {}

    /// Only grows; the name ends in `_total`.
    package func counter(_ name: String, help: String, labels: KeyValuePairs<String, String> = [:]) -> Counter {
        series(name, help, .counter, labels) { Counter() }
    }

    package func gauge(_ name: String, help: String, labels: KeyValuePairs<String, String> = [:]) -> Gauge {
        series(name, help, .gauge, labels) { Gauge() }
    }

    /// Adds a gauge that is read at each scrape, on the scraping thread. `read` must be cheap and safe to call there.
    package func gauge(
        _ name: String, help: String, labels: KeyValuePairs<String, String> = [:], read: @escaping @Sendable () -> Double
    ) {
        _ = series(name, help, .gauge, labels) { Reading(read: read) }
    }

    /// Like a read gauge, for totals that are counted elsewhere.
    package func counter(
        _ name: String, help: String, labels: KeyValuePairs<String, String> = [:], read: @escaping @Sendable () -> Double
    ) {
        _ = series(name, help, .counter, labels) { Reading(read: read) }
    }

    /// - Parameter buckets: upper bounds, ascending; the one above all is added. The first creation of a name decides.
    package func histogram(
        _ name: String, help: String, labels: KeyValuePairs<String, String> = [:], buckets: [Double] = Histogram.seconds
    ) -> Histogram {
        series(name, help, .histogram, labels) { Histogram(bounds: buckets) }
    }

    private func series<S: Series>(
        _ name: String, _ help: String, _ kind: Family.Kind, _ labels: KeyValuePairs<String, String>, make: () -> S
    ) -> S {
        var text = labels.map { "\($0)=\"\(escapeLabel($1))\"" }.joined(separator: ",")
        return families.withLock { families in
            var family = families[name] ?? Family(kind: kind, help: help)
            precondition(family.kind == kind, "metric \(name) was made as a \(family.kind)")
            if let known = family.series[text] as? S { return known }
            if family.series.count >= Self.seriesMax {
                text = "overflow=\"true\""
                if let known = family.series[text] as? S { return known }
            }
            let made = make()
            family.series[text] = made
            families[name] = family
            return made
        }
    }

    package func render() -> [UInt8] {
        // Read outside the lock: a reading may take its owner's lock.
        let snapshot = families.withLock { $0 }
        var text = ""
        for (name, family) in snapshot.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(escapeHelp(family.help))\n# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) { series.render(name, labels, into: &text) }
        }
        return Array(text.utf8)
    }
}

private struct Family: Sendable {
    enum Kind: String { case counter, gauge, histogram }

    let kind: Kind
    let help: String
    var series: [String: any Series] = [:]
}

private protocol Series: AnyObject, Sendable {
    func render(_ name: String, _ labels: String, into text: inout String)
}

package final class Counter: Sendable {
    private let value = Atomic<Int64>(0)

    package init() {}
    package func add(_ amount: Int64 = 1) { value.wrappingAdd(amount, ordering: .relaxed) }
    package var count: Int64 { value.load(ordering: .relaxed) }
}

package final class Gauge: Sendable {
    private let value = Atomic<Int64>(0)

    package init() {}
    package func set(_ amount: Int64) { value.store(amount, ordering: .relaxed) }
    package func add(_ amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    package var current: Int64 { value.load(ordering: .relaxed) }
}

package final class Histogram: @unchecked Sendable {
    // @unchecked Sendable: `counts` points to atomics that live as long as the histogram; everything else is constant.

    /// OpenTelemetry's bounds for durations, in seconds, with three finer ones below.
    package static let seconds = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

    private let bounds: [Double]
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>
    private let sum = Atomic<UInt64>(Double(0).bitPattern)

    package init(bounds: [Double] = Histogram.seconds) {
        self.bounds = bounds
        counts = .allocate(capacity: bounds.count + 1)
        for index in 0...bounds.count { (counts + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counts.deinitialize(count: bounds.count + 1)
        counts.deallocate()
    }

    package func observe(_ value: Double) {
        var index = 0
        while index < bounds.count, value > bounds[index] { index += 1 }
        counts[index].wrappingAdd(1, ordering: .relaxed)
        var old = sum.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + value).bitPattern
            let (exchanged, original) = sum.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    /// In seconds.
    package func observe(_ duration: Duration) {
        observe(duration.fractionalSeconds)
    }

    package var count: UInt64 { (0...bounds.count).reduce(0) { $0 + counts[$1].load(ordering: .relaxed) } }

    fileprivate func render(_ name: String, _ labels: String, into text: inout String) {
        let prefix = labels.isEmpty ? "" : labels + ","
        var total: UInt64 = 0
        for (index, bound) in bounds.enumerated() {
            total += counts[index].load(ordering: .relaxed)
            text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(total)\n"
        }
        total += counts[bounds.count].load(ordering: .relaxed)
        text += "\(name)_bucket{\(prefix)le=\"+Inf\"} \(total)\n"
        let braces = labels.isEmpty ? "" : "{\(labels)}"
        text += "\(name)_sum\(braces) \(Double(bitPattern: sum.load(ordering: .relaxed)))\n\(name)_count\(braces) \(total)\n"
    }
}

private final class Reading: Series {
    private let read: @Sendable () -> Double

    init(read: @escaping @Sendable () -> Double) { self.read = read }

    func render(_ name: String, _ labels: String, into text: inout String) { renderLine(name, labels, "\(read())", into: &text) }
}

extension Counter: Series {
    fileprivate func render(_ name: String, _ labels: String, into text: inout String) { renderLine(name, labels, "\(count)", into: &text) }
}

extension Gauge: Series {
    fileprivate func render(_ name: String, _ labels: String, into text: inout String) {
        renderLine(name, labels, "\(current)", into: &text)
    }
}

extension Histogram: Series {}

private func renderLine(_ name: String, _ labels: String, _ value: String, into text: inout String) {
    text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
}

private func escapeLabel(_ text: String) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
        switch character {
        case "\\": escaped += "\\\\"
        case "\"": escaped += "\\\""
        case "\n": escaped += "\\n"
        default: escaped.unicodeScalars.append(character)
        }
    }
    return escaped
}

private func escapeHelp(_ text: String) -> String {
    text.contains("\n") || text.contains("\\") ? escapeLabel(text) : text
}
