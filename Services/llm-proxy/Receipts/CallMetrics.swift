import Contracts
import Synchronization
import Telemetry

/// The metrics of calls, named after OpenTelemetry's conventions for generative AI where it has a
/// name. Labels are names of the catalogue, so their number is bounded.
final class CallMetrics: Sendable {
    private struct Key: Hashable {
        var model: String
        var provider: String
    }

    /// The series of one model at one provider.
    private struct Series: Sendable {
        var firstToken: Histogram
        var duration: Histogram
        var usage: [MeteredUnit: Counter] = [:]
        var ends: [String: Counter] = [:]
        var estimated: Counter
    }

    private let metrics: Metrics
    private let series = Mutex<[Key: Series]>([:])

    init(_ metrics: Metrics = .shared) { self.metrics = metrics }

    func record(_ receipt: Receipt) {
        let call = receipt.call
        let labels: KeyValuePairs = ["model": call.model, "provider": call.provider]
        series.withLock { all in
            let key = Key(model: call.model, provider: call.provider)
            var series = all[key] ?? make(labels)
            for (unit, quantity) in call.usage.all {
                if series.usage[unit] == nil {
                    series.usage[unit] = metrics.counter(
                        "gen_ai_client_token_usage_total", help: "Units charged, by model, provider and unit",
                        labels: ["model": call.model, "provider": call.provider, "unit": unit.rawValue])
                }
                series.usage[unit]?.add(quantity)
            }
            let end = call.end.rawValue
            if series.ends[end] == nil {
                series.ends[end] = metrics.counter(
                    "llm_calls_total", help: "Calls with a hold, by model, provider and end",
                    labels: ["model": call.model, "provider": call.provider, "end": end])
            }
            series.ends[end]?.add()
            if call.isEstimated { series.estimated.add() }
            if let milliseconds = receipt.firstTokenMilliseconds { series.firstToken.observe(Double(milliseconds) / 1_000) }
            series.duration.observe(Double(receipt.durationMilliseconds) / 1_000)
            all[key] = series
        }
    }

    /// Counts a failure of a provider by its class.
    func failed(_ provider: String, _ reason: String) {
        metrics.counter(
            "llm_provider_errors_total", help: "Failed calls of providers, by class", labels: ["provider": provider, "class": reason]
        ).add()
    }

    private func make(_ labels: KeyValuePairs<String, String>) -> Series {
        Series(
            firstToken: metrics.histogram(
                "gen_ai_server_time_to_first_token_seconds", help: "Time from the start of a call to the first output", labels: labels),
            duration: metrics.histogram(
                "gen_ai_server_request_duration_seconds", help: "Time from the start of a call to its charge", labels: labels),
            estimated: metrics.counter(
                "llm_calls_estimated_total", help: "Calls charged by the proxy's own count of usage", labels: labels))
    }
}
