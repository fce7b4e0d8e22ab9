import Configuration
import Testing

@testable import Billing

struct StripeSettingsTests {
    private static let complete = [
        "STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef",
    ]

    private static func settings(_ change: [String: String]) throws -> StripeSettings {
        try StripeSettings(Environment(complete.merging(change) { $1 }), publicURL: #require(URLText("https://gateway.example:443/")))
    }

    @Test func `complete variables are read`() throws {
        let settings = try Self.settings([
            "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef,whsec_fedcba9876543210", "STRIPE_PRICE_PRO_YEARLY": "price_1",
            "CHECKOUT_ORIGINS": "https://app.example",
        ])
        #expect(settings.webhookSecrets.count == 2)
        #expect(!settings.isLive)
        #expect(settings.prices == [StripeSettings.PriceSlot(plan: "pro", interval: .year): "price_1"])
        #expect(settings.returnOrigins == ["https://gateway.example", "https://app.example"])
        #expect(settings.apiBase == "https://api.stripe.com")
    }

    @Test func `a live key needs settings of the portal`() throws {
        let live = ["STRIPE_SECRET_KEY": "rk_live_1", "STRIPE_PUBLISHABLE_KEY": "pk_live_1"]
        #expect {
            _ = try Self.settings(live)
        } throws: { error in
            "\(error)".contains("STRIPE_PORTAL_CONFIGURATION") && "\(error)".contains("setup.sh")
        }
        #expect(try Self.settings(live.merging(["STRIPE_PORTAL_CONFIGURATION": "bpc_1"]) { $1 }).isLive)
    }

    @Test(arguments: [
        ("STRIPE_PORTAL_CONFIGURATION", "default"), ("STRIPE_SECRET_KEY", ""), ("STRIPE_SECRET_KEY", "pk_test_1"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_1"),
        ("STRIPE_PUBLISHABLE_KEY", ""),
        ("STRIPE_WEBHOOK_SECRET", ""), ("STRIPE_WEBHOOK_SECRET", "whsec_"), ("STRIPE_WEBHOOK_SECRET", "whsec_0123456789abcdef,"),
        ("STRIPE_PRICE_PRO_MONTHLY", "prod_1"), ("STRIPE_API_BASE", "http://api.example"), ("CHECKOUT_ORIGINS", "https://app.example/path"),
        ("TAX", "maybe"),
    ])
    func `a bad variable stops the start and is named`(name: String, value: String) {
        #expect {
            _ = try Self.settings([name: value])
        } throws: { error in
            "\(error)".contains(name) && !"\(error)".contains("whsec_0123456789abcdef")
        }
    }
}
