import Contracts
import Synchronization
import Telemetry

/// The metrics of calls, named after OpenTelemetry's conventions for generative AI where it has a
/// name. Labels are names of the catalogue, so their number is bounded.
final class CallMetrics: Sendable {
    private struct Key: Hashable {
        var model: String
        var provider: String

        var labels: KeyValuePairs<String, String> { ["model": model, "provider": provider] }
    }

    /// The series of one model at one provider.
    private struct Series: Sendable {
        var firstToken: Histogram
        var duration: Histogram
        var usage: [MeteredUnit: Counter] = [:]
        var ends: [CallFacts.End: Counter] = [:]
        var estimated: Counter
    }

    private let metrics: Metrics
    private let series = Mutex<[Key: Series]>([:])

    init(_ metrics: Metrics = .shared) { self.metrics = metrics }

    func record(_ receipt: Receipt) {
        let call = receipt.call
        let key = Key(model: call.model, provider: call.provider)
        series.withLock { all in record(receipt, in: &all[key, default: make(key)], key) }
    }

    private func record(_ receipt: Receipt, in series: inout Series, _ key: Key) {
        let call = receipt.call
        for (unit, quantity) in call.usage.all {
            Self.counter(in: &series.usage, unit) {
                metrics.counter(
                    "gen_ai_client_token_usage_total", help: "Units charged or skipped, by model, provider and unit",
                    labels: ["model": key.model, "provider": key.provider, "unit": unit.rawValue])
            }.add(quantity)
        }
        Self.counter(in: &series.ends, call.end) {
            metrics.counter(
                "llm_calls_total", help: "Calls that were held or skipped, by model, provider and end",
                labels: ["model": key.model, "provider": key.provider, "end": call.end.rawValue])
        }.add()
        if call.isEstimated { series.estimated.add() }
        if let milliseconds = receipt.firstTokenMilliseconds { series.firstToken.observe(Double(milliseconds) / 1_000) }
        series.duration.observe(Double(receipt.durationMilliseconds) / 1_000)
    }

    private static func counter<Name>(in counters: inout [Name: Counter], _ name: Name, make: () -> Counter) -> Counter {
        if let known = counters[name] { return known }
        let made = make()
        counters[name] = made
        return made
    }

    /// Counts a failure of a provider by its class.
    func failed(_ provider: String, _ reason: String) {
        metrics.counter(
            "llm_provider_errors_total", help: "Failed calls of providers, by class", labels: ["provider": provider, "class": reason]
        ).add()
    }

    private func make(_ key: Key) -> Series {
        let labels = key.labels
        return Series(
            firstToken: metrics.histogram(
                "gen_ai_server_time_to_first_token_seconds", help: "Time from the start of a call to the first output", labels: labels),
            duration: metrics.histogram(
                "gen_ai_server_request_duration_seconds", help: "Time from the start of a call to its charge", labels: labels),
            estimated: metrics.counter(
                "llm_calls_estimated_total", help: "Calls charged by the proxy's own count of usage", labels: labels))
    }
}
