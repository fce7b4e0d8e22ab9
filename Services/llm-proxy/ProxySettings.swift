import Configuration
import Jobs
import Values

/// The proxy's own variables, next to the common ones.
///
/// | variable | default | |
/// |---|---|---|
/// | `PROVIDERS_FILE` | required | providers, models and prices: see ``ProvidersFile`` |
/// | `MODEL_LIST_FILE` | `Services/llm-proxy/models.json` | limits and prices of public models: see ``ModelList`` |
/// | the file's `api_key_variable`s | | a provider whose key is not set answers `provider_disabled` |
/// | `SIMPLE_CHAT_MODEL` | the cheapest | the model of a call of `/api/llm/*` and `/api/v1/llm/*` that names none |
/// | `PRICING_RULE` | `cost_plus` | or `per_token` |
/// | `MARKUP_BASIS_POINTS` | 1500 | 0…100000, on the provider's cost |
/// | `CREDITS_PER_USD` | 25 | decimal |
/// | `BYOK_FEE_BASIS_POINTS` | 0 | 0…100000, on the provider's cost of a call with the user's own key |
/// | `WEB_LLM_CREDIT_PER_1K_TOKENS` | 1 | decimal, for `per_token` |
/// | `WEB_LLM_MIN_CREDITS` | 0; 1 for `per_token` | decimal; the least a billable call costs |
/// | `WEB_LLM_SKIP_CREDIT_FOR_STATIC` | `false` | `true`: no account pays for the calls of service tokens |
/// | `HOLD_TTL` | `45s` | 1s…10m: how long a hold lives without a message; see ``LedgerClient/Timing`` |
/// | `HOLD_WITHIN` | `3s` | 100ms…5s, for the ledger's answer |
/// | `FUNDS_WAIT` | `2s` | 0s…30s: how long a call waits for credits that other calls of its account hold |
/// | `PROVIDER_FIRST_BYTE_WITHIN` | `2m` | 1s…10m: the time for a provider to begin a stream |
/// | `PROVIDER_ANSWER_WITHIN` | `10m` | 1s…60m: the time for a provider to begin an answer in one piece, which it does at its end |
/// | `RECEIPT_DAYS` | 400 | 2…3660: the days for which receipts are kept, today included |
/// | `CONFIRM_WITHIN` | `5s` | 100ms…30s, for the broker; then the outbox takes the charge |
struct ProxySettings: Sendable {
    let providersFile: String
    let modelListFile: String
    let pricing: PricingRules
    let timing: LedgerClient.Timing
    let providerTiming: ProviderConnections.Timing
    let receiptDays: Int
    let skipsServiceCalls: Bool
    let simpleModel: String?

    init(_ environment: Environment) throws(ConfigurationError) {
        providersFile = try environment.string("PROVIDERS_FILE")
        modelListFile = environment.string("MODEL_LIST_FILE", default: "Services/llm-proxy/models.json")
        pricing = try Self.pricing(environment)
        simpleModel = environment.optionalString("SIMPLE_CHAT_MODEL")
        skipsServiceCalls = try environment.bool("WEB_LLM_SKIP_CREDIT_FOR_STATIC", default: false)
        receiptDays = try environment.integer("RECEIPT_DAYS", default: 400, in: TimePartitions.Unit.day.keptRange)
        providerTiming = ProviderConnections.Timing(
            firstByteWithin: try environment.duration(
                "PROVIDER_FIRST_BYTE_WITHIN", default: .seconds(120), in: .seconds(1) ... .seconds(600)),
            answerWithin: try environment.duration(
                "PROVIDER_ANSWER_WITHIN", default: .seconds(600), in: .seconds(1) ... .seconds(3_600)))
        timing = LedgerClient.Timing(
            holdWithin: try environment.duration(
                "HOLD_WITHIN", default: .seconds(3), in: .milliseconds(100)...LedgerClient.questionLivesMax),
            holdTimeToLive: try environment.duration("HOLD_TTL", default: .seconds(45), in: .seconds(1) ... .seconds(600)),
            fundsWithin: try environment.duration("FUNDS_WAIT", default: .seconds(2), in: .zero ... .seconds(30)),
            confirmWithin: try environment.duration("CONFIRM_WITHIN", default: .seconds(5), in: .milliseconds(100) ... .seconds(30)))
    }

    private static func pricing(_ environment: Environment) throws(ConfigurationError) -> PricingRules {
        let isPerToken = try environment.choice("PRICING_RULE", default: "cost_plus", of: ["cost_plus", "per_token"]) == "per_token"
        let flat = PricingRule.Formula.perToken(
            creditsPer1kTokens: try credits(environment, "WEB_LLM_CREDIT_PER_1K_TOKENS", default: Credits(whole: 1)))
        let media = PricingRule(
            formula: .costPlus(
                markupBasisPoints: Int64(try environment.integer("MARKUP_BASIS_POINTS", default: 1_500, in: 0...100_000)),
                creditsPerUSD: try credits(environment, "CREDITS_PER_USD", default: Credits(whole: 25))),
            minimumCharge: try credits(environment, "WEB_LLM_MIN_CREDITS", default: isPerToken ? Credits(whole: 1) : .zero),
            byokFeeBasisPoints: Int64(try environment.integer("BYOK_FEE_BASIS_POINTS", default: 0, in: 0...100_000)))
        var tokens = media
        if isPerToken { tokens.formula = flat }
        return PricingRules(tokens: tokens, media: media)
    }

    private static func credits(_ environment: Environment, _ name: String, default fallback: Credits) throws(ConfigurationError) -> Credits
    {
        guard let text = environment.optionalString(name) else { return fallback }
        guard let credits = Credits(decimal: text), credits >= .zero, credits <= Credits(whole: 1_000_000) else {
            throw .malformed(name, found: text, expected: "a decimal from 0 to 1000000 with at most 9 fraction digits")
        }
        return credits
    }
}
