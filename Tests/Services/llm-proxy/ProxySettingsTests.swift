import Configuration
import EventLoop
import Testing

@testable import LLMProxy

struct ProxySettingsTests {
    static func settings(_ changed: [String: String]) throws -> ProxySettings {
        try ProxySettings(Environment(changed.merging(["PROVIDERS_FILE": "/providers.json"]) { $1 }))
    }

    @Test func `a wait for the ledger that is longer than a question lives is refused by name`() throws {
        #expect(try Self.settings(["HOLD_WITHIN": "5s"]).timing.holdWithin == .seconds(5))
        #expect {
            try Self.settings(["HOLD_WITHIN": "5001ms"])
        } throws: {
            let text = ($0 as? ConfigurationError)?.description ?? ""
            return text.hasPrefix("HOLD_WITHIN") && text.contains("to 5s")
        }
    }

    @Test(arguments: [(nil, 90), ("45s", 90), ("1s", 46), ("10m", 645)])
    func `a stream without answers of the ledger lasts as long as its hold can live`(timeToLive: String?, seconds: Int64) throws {
        let timing = try Self.settings(timeToLive.map { ["HOLD_TTL": $0] } ?? [:]).timing
        #expect(timing.outagePatience == .seconds(seconds))
    }
}
