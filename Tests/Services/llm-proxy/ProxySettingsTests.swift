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

    @Test(arguments: [(nil, false), ("", false), ("false", false), ("0", false), ("true", true), ("TRUE", true), ("1", true)])
    func `no account pays for service tokens only if the operator says so`(value: String?, skips: Bool) throws {
        #expect(try Self.settings(value.map { ["WEB_LLM_SKIP_CREDIT_FOR_STATIC": $0] } ?? [:]).skipsServiceCalls == skips)
    }

    @Test(arguments: ["maybe", "2", "true ", "wahr"])
    func `a value that is neither true nor false is refused by name`(value: String) throws {
        #expect {
            try Self.settings(["WEB_LLM_SKIP_CREDIT_FOR_STATIC": value])
        } throws: {
            let text = ($0 as? ConfigurationError)?.description ?? ""
            return text.hasPrefix("WEB_LLM_SKIP_CREDIT_FOR_STATIC") && text.contains("true or false")
        }
    }

    @Test(arguments: [(nil, 90), ("45s", 90), ("1s", 46), ("10m", 645)])
    func `a stream without answers of the ledger lasts as long as its hold can live`(timeToLive: String?, seconds: Int64) throws {
        let timing = try Self.settings(timeToLive.map { ["HOLD_TTL": $0] } ?? [:]).timing
        #expect(timing.outagePatience == .seconds(seconds))
    }
}
