import JSON
import Testing
import Values

@testable import Contracts

/// Each message's wire form, letter by letter: a change here is a change of contract.
struct MessageTests {
    static let account = AccountID("0190b5a0-0000-7000-8000-000000000001")!
    static let user = UserID("0190b5a0-0000-7000-8000-000000000001")!
    static let charge = ChargeID("0190b5a0-0000-7000-8000-0000000000c1")!
    static let session = SessionID("0190b5a0-0000-7000-8000-000000000051")!

    static let created = APIKeyCreated(
        apiKeyID: APIKeyID(rawValue: "abcdefghij"), fingerprint: APIKeyFingerprint(hexadecimal: "00ff00ff00ff00ff")!)

    static let freeFeatures = PlanFeatures(
        endpoints: ["chat", "keys"], requestsPerMinute: 60, tokensPerMinute: 100_000, concurrency: 8, priority: 0)
    static let unlimited = PlanFeatures(endpoints: nil, requestsPerMinute: nil, tokensPerMinute: nil, concurrency: nil, priority: 1)

    static let callFacts = CallFacts(
        model: "sim-fast", provider: "openai", usage: [.input: 12, .output: 34], isEstimated: false, end: .completed,
        priceVersion: 3, costPicoUSD: 148_000_000, operation: "conversations.sendMessage",
        apiKeyID: APIKeyID(rawValue: "abcdefghij"))

    static func hold(_ account: AccountID) -> PlaceHold {
        PlaceHold(
            chargeID: charge, accountID: account,
            amounts: HoldAmounts(most: Credits(nano: 5_000), usual: Credits(nano: 1_000), least: Credits(nano: 1_000)),
            timeToLiveMilliseconds: 60_000, replica: "llm-proxy-1", apiKeyID: nil)
    }

    static func extend(_ account: AccountID) -> ExtendHold {
        ExtendHold(
            chargeID: charge, accountID: account, step: 2,
            amounts: HoldAmounts(most: Credits(nano: 500), usual: Credits(nano: 100), least: Credits(nano: 100)),
            usedSoFar: Credits(nano: 4_800), timeToLiveMilliseconds: 60_000)
    }

    static let goldens: [(any Message, String)] = [
        (
            hold(account),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","amount":5000,"amount_usual":1000,"minimum_amount":1000,"is_last_question":false,"takes_share":false,"time_to_live_ms":60000,"replica":"llm-proxy-1"}"#
        ),
        (
            PlaceHold(
                chargeID: charge, accountID: account,
                amounts: HoldAmounts(
                    most: Credits(nano: 5_000), usual: Credits(nano: 2_000), least: Credits(nano: 1_000), isLastQuestion: true),
                takesShare: true, timeToLiveMilliseconds: 60_000, replica: "llm-proxy-1", apiKeyID: APIKeyID(rawValue: "abcdefghij"),
                keyLimits: SpendingLimits(daily: Credits(nano: 1), monthly: Credits(nano: 30)), service: "web-gateway"),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","amount":5000,"amount_usual":2000,"minimum_amount":1000,"is_last_question":true,"takes_share":true,"time_to_live_ms":60000,"replica":"llm-proxy-1","api_key_id":"abcdefghij","key_limits":{"daily":1,"monthly":30},"service":"web-gateway"}"#
        ),
        (
            extend(account),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","step":2,"amount":500,"amount_usual":100,"minimum_amount":100,"is_last_question":false,"used_so_far":4800,"time_to_live_ms":60000}"#
        ),
        (
            HoldReply(
                chargeID: charge, status: .limitReached, granted: .zero, available: Credits(nano: 7),
                limit: .init(scope: .apiKey, period: .day, resetsAt: Instant(microseconds: 9))),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","status":"limit_reached","granted":0,"available":7,"spendable":0,"limit":{"scope":"api_key","period":"day","resets_at":9}}"#
        ),
        (
            HoldReply(chargeID: charge, status: .insufficientFunds, granted: .zero, available: Credits(nano: 7)),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","status":"insufficient_funds","granted":0,"available":7,"spendable":0}"#
        ),
        (
            ExpireHold(chargeID: charge, accountID: account, expiresAt: Instant(microseconds: 1_767_225_600_000_001)),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","expires_at":1767225600000001}"#
        ),
        (
            VoidHold(chargeID: charge, accountID: account, reason: "provider answered 503"),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","reason":"provider answered 503"}"#
        ),
        (
            VoidHold(chargeID: charge, accountID: account, reason: "timed_out before the first token", apiKeyID: APIKeyID(rawValue: "k")),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","reason":"timed_out before the first token","api_key_id":"k"}"#
        ),
        (
            ReportUsage(chargeID: charge, accountID: account, usedSoFar: Credits(nano: 42), timeToLiveMilliseconds: 60_000),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","used_so_far":42,"time_to_live_ms":60000}"#
        ),
        (
            SettleCharges([
                SettleCharge(chargeID: charge, accountID: account, amount: Credits(nano: 4_255_000), call: callFacts),
                SettleCharge(
                    chargeID: charge, accountID: account, amount: .zero,
                    call: CallFacts(
                        model: "m", provider: "p", usage: [MeteredUnit(rawValue: "image:hd")!: 1], isEstimated: true, end: .providerError,
                        priceVersion: 4, costPicoUSD: 0, operation: nil, apiKeyID: nil, service: "web-gateway"), lease: charge),
            ]),
            #"{"items":[{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","amount":4255000,"call":{"model":"sim-fast","provider":"openai","usage":{"input":12,"output":34},"estimated":false,"end":"completed","price_version":3,"cost_pico_usd":148000000,"operation":"conversations.sendMessage","api_key_id":"abcdefghij"}},{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","amount":0,"lease":"0190b5a0-0000-7000-8000-0000000000c1","call":{"model":"m","provider":"p","usage":{"image:hd":1},"estimated":true,"end":"provider_error","price_version":4,"cost_pico_usd":0,"service":"web-gateway"}}]}"#
        ),
        (
            PurchaseFulfilled(
                chargeID: charge, accountID: account, kind: .planGrant, amount: Credits(whole: 10), description: "Free plan, 2026-11",
                expiresAt: Instant(microseconds: 1_764_547_200_000_000)),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","kind":"plan_grant","amount":10000000000,"description":"Free plan, 2026-11","expires_at":1764547200000000}"#
        ),
        (
            PurchaseReversed(
                chargeID: charge, accountID: account, grantID: ChargeID("0190b5a0-0000-7000-8000-0000000000c0")!, target: Credits(whole: 5),
                version: 2, reason: .dispute, description: "Dispute lost"),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001","grant_id":"0190b5a0-0000-7000-8000-0000000000c0","target":5000000000,"version":2,"reason":"dispute","description":"Dispute lost"}"#
        ),
        (
            BalanceLow(accountID: account, balance: Credits(nano: 4), level: Credits(nano: 5), at: Instant(microseconds: 9)),
            #"{"account_id":"0190b5a0-0000-7000-8000-000000000001","balance":4,"level":5,"at":9}"#
        ),
        (
            BalanceExhausted(accountID: account, balance: .zero, at: Instant(microseconds: 9)),
            #"{"account_id":"0190b5a0-0000-7000-8000-000000000001","balance":0,"at":9}"#
        ),
        (QueryBalance(accountID: account), #"{"account_id":"0190b5a0-0000-7000-8000-000000000001"}"#),
        (
            BalanceReply(accountID: account, posted: Credits(nano: 9), held: Credits(nano: 4), available: Credits(nano: 5)),
            #"{"account_id":"0190b5a0-0000-7000-8000-000000000001","posted":9,"held":4,"available":5}"#
        ),
        (
            BalanceReply(
                accountID: account, posted: Credits(nano: 9), held: Credits(nano: 4), available: Credits(nano: 5),
                alertLevel: Credits(nano: 7)),
            #"{"account_id":"0190b5a0-0000-7000-8000-000000000001","posted":9,"held":4,"available":5,"alert_level":7}"#
        ),
        (
            QueryCharge(chargeID: charge, accountID: account),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","account_id":"0190b5a0-0000-7000-8000-000000000001"}"#
        ),
        (
            ChargeReply(chargeID: charge, state: .unknown),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","state":"unknown","held":0,"charged":0}"#
        ),
        (
            ChargeReply(
                chargeID: charge, state: .voided, held: Credits(nano: 9), openedAt: Instant(microseconds: 5),
                endedAt: Instant(microseconds: 7)),
            #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","state":"voided","held":9,"charged":0,"opened_at":5,"ended_at":7}"#
        ),
        (
            UserVerified(userID: user, email: "a@example.com", verifiedAt: Instant(microseconds: 1_763_596_800_000_000)),
            #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","email":"a@example.com","verified_at":1763596800000000}"#
        ),
        (
            PlanChanged(
                userID: user, plan: "free", features: freeFeatures, validUntil: nil, seq: 2),
            #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","plan":"free","features":{"endpoints":["chat","keys"],"#
                + #""requests_per_minute":60,"tokens_per_minute":100000,"concurrency":8,"priority":0},"seq":2}"#
        ),
        (
            PlanChanged(
                userID: user, plan: "pro", features: unlimited, validUntil: Instant(microseconds: 1_764_547_200_000_000), seq: 1),
            #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","plan":"pro","features":{"endpoints":null,"requests_per_minute":null,"#
                + #""tokens_per_minute":null,"concurrency":null,"priority":1},"valid_until":1764547200000000,"seq":1}"#
        ),
        (
            CatalogueChanged(
                version: 2, changedAt: Instant(microseconds: 9),
                plans: [
                    .init(
                        id: "free", features: freeFeatures, monthlyCredits: Credits(whole: 10), monthCents: nil, yearCents: nil,
                        isActive: true),
                    .init(
                        id: "pro", features: unlimited, monthlyCredits: Credits(nano: 5), monthCents: 2_900, yearCents: 31_320,
                        isActive: false),
                ],
                packages: [.init(id: "basic", credits: Credits(nano: 7), bonus: .zero, priceCents: 900, isActive: true)]),
            #"{"version":2,"changed_at":9,"plans":[{"id":"free","features":{"endpoints":["chat","keys"],"requests_per_minute":60,"#
                + #""tokens_per_minute":100000,"concurrency":8,"priority":0},"monthly_credits":10000000000,"month_cents":null,"year_cents":null,"#
                + #""is_active":true},{"id":"pro","features":{"endpoints":null,"#
                + #""requests_per_minute":null,"tokens_per_minute":null,"concurrency":null,"priority":1},"monthly_credits":5,"#
                + #""month_cents":2900,"year_cents":31320,"is_active":false}],"packages":[{"id":"basic","credits":7,"bonus":0,"#
                + #""price_cents":900,"is_active":true}]}"#
        ),
        (
            SendMail(userID: user, mail: .lowBalance(balance: Credits(nano: 4), level: Credits(nano: 5))),
            #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","template":"low_balance","facts":{"balance":4,"level":5}}"#
        ),
        (
            SendMail(userID: user, mail: .balanceExhausted(balance: Credits(nano: -4))),
            #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","template":"balance_exhausted","facts":{"balance":-4}}"#
        ),
        (created, #"{"api_key_id":"abcdefghij","fingerprint":"00ff00ff00ff00ff"}"#),
        (APIKeyRevoked(apiKeyID: APIKeyID(rawValue: "abcdefghij")), #"{"api_key_id":"abcdefghij"}"#),
        (
            SessionRevoked(sessionID: session, tokensExpireAt: Instant(microseconds: 5)),
            #"{"session_id":"0190b5a0-0000-7000-8000-000000000051","tokens_expire_at":5}"#
        ),
        (
            UserChanged(userID: user, tokenVersion: 3, isActive: false),
            #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","token_version":3,"active":false}"#
        ),
        (RevocationsHeartbeat(), "{}"),
        (
            IntrospectAPIKey(apiKeyID: APIKeyID(rawValue: "abcdefghij"), secretSHA256: "00ff"),
            #"{"api_key_id":"abcdefghij","secret_sha256":"00ff"}"#
        ),
        (APIKeyReply(owner: nil), #"{"active":false}"#),
        (
            APIKeyReply(owner: .init(userID: user, roles: ["user"], scopes: ["llm"], plan: "free", expiresAt: nil)),
            #"{"active":true,"user_id":"0190b5a0-0000-7000-8000-000000000001","roles":["user"],"scopes":["llm"],"plan":"free"}"#
        ),
        (
            APIKeyReply(
                owner: .init(
                    userID: user, roles: [], scopes: [], plan: "pro", expiresAt: nil, limits: SpendingLimits(monthly: Credits(nano: 30)))),
            #"{"active":true,"user_id":"0190b5a0-0000-7000-8000-000000000001","roles":[],"scopes":[],"plan":"pro","limits":{"monthly":30}}"#
        ),
        (
            IntrospectSession(sessionID: session, secretSHA256: "00ff"),
            #"{"session_id":"0190b5a0-0000-7000-8000-000000000051","secret_sha256":"00ff"}"#
        ),
        (SessionReply(owner: nil), #"{"active":false}"#),
        (
            SessionReply(
                owner: .init(
                    userID: user, sessionID: session, roles: ["user"], plan: "free", locale: "th", timeZone: "Asia/Bangkok",
                    authenticatedAt: Instant(microseconds: 5), expiresAt: Instant(microseconds: 6))),
            #"{"active":true,"user_id":"0190b5a0-0000-7000-8000-000000000001","session_id":"0190b5a0-0000-7000-8000-000000000051","#
                + #""roles":["user"],"plan":"free","locale":"th","time_zone":"Asia/Bangkok","authenticated_at":5,"expires_at":6}"#
        ),
        (QuerySigningKeys(), "{}"),
        (
            QuerySigningKeys(
                revokedSince: Instant(microseconds: 6), afterSession: session, afterAPIKey: APIKeyID(rawValue: "abcdefghij"),
                afterUser: user, afterCreatedAPIKey: APIKeyID(rawValue: "klmnopqrst")),
            #"{"revoked_since":6,"after_session":"0190b5a0-0000-7000-8000-000000000051","after_api_key":"abcdefghij","#
                + #""after_user":"0190b5a0-0000-7000-8000-000000000001","after_created_api_key":"klmnopqrst"}"#
        ),
        (
            SigningKeysReply(
                keys: [.init(keyID: "k", x: "eA", y: "eQ")],
                revokedSessions: [SessionRevoked(sessionID: session, tokensExpireAt: Instant(microseconds: 5))],
                revokedAPIKeys: [APIKeyID(rawValue: "abcdefghij")],
                changedUsers: [UserChanged(userID: user, tokenVersion: 3, isActive: true)], createdAPIKeys: [created],
                readAt: Instant(microseconds: 6), hasMore: true),
            #"{"keys":[{"kid":"k","x":"eA","y":"eQ"}],"revoked_sessions":[{"session_id":"0190b5a0-0000-7000-8000-000000000051","tokens_expire_at":5}],"#
                + #""revoked_api_keys":["abcdefghij"],"changed_users":[{"user_id":"0190b5a0-0000-7000-8000-000000000001","token_version":3,"active":true}],"#
                + #""created_api_keys":[{"api_key_id":"abcdefghij","fingerprint":"00ff00ff00ff00ff"}],"read_at":6,"has_more":true}"#
        ),
    ]

    @Test(arguments: 0..<goldens.count)
    func `a message is written and read as its golden JSON`(index: Int) throws {
        let (message, golden) = Self.goldens[index]
        #expect(String(decoding: message.encoded(), as: UTF8.self) == golden)
        let read = try type(of: message).init(decoding: Array(golden.utf8))
        #expect(read.encoded() == message.encoded())
    }

    @Test func `unknown fields are ignored, so that an old reader takes a newer message`() throws {
        let newer = try VoidHold(
            decoding: Array(
                #"{"charge_id":"0190b5a0-0000-7000-8000-0000000000c1","since":{"v":2},"account_id":"0190b5a0-0000-7000-8000-000000000001","reason":"x"}"#
                    .utf8))
        #expect(newer.reason == "x")
    }

    @Test func `a cost that cannot be computed is left out, and is not zero`() throws {
        var facts = Self.callFacts
        facts.costPicoUSD = nil
        let item = SettleCharge(chargeID: Self.charge, accountID: Self.account, amount: Credits(nano: 1), call: facts)
        #expect(try SettleCharges(decoding: SettleCharges([item]).encoded()).items.first?.call.costPicoUSD == .some(nil))
    }

    @Test func `a settled call with a negative cost is malformed`() throws {
        let golden = String(
            decoding: SettleCharges([
                SettleCharge(chargeID: Self.charge, accountID: Self.account, amount: Credits(nano: 1), call: Self.callFacts)
            ]).encoded(), as: UTF8.self)
        let negative = golden.replacing("\"cost_pico_usd\":", with: "\"cost_pico_usd\":-")
        #expect(negative != golden)
        #expect(throws: MessageError.self) { try SettleCharges(decoding: Array(negative.utf8)) }
    }

    @Test(arguments: [-1, Int64.min])
    func `a hold reply with a negative grant is malformed`(granted: Int64) {
        let reply = HoldReply(chargeID: Self.charge, status: .granted, granted: Credits(nano: granted))
        let error = #expect(throws: MessageError.self) { try HoldReply(decoding: reply.encoded()) }
        #expect(error?.description == "granted: expected 0 or more")
    }

    @Test func `a balance in a hold reply may be negative`() throws {
        let debt = Credits(nano: .min)
        let reply = HoldReply(chargeID: Self.charge, status: .insufficientFunds, available: debt, spendable: debt)
        #expect(try HoldReply(decoding: reply.encoded()).available == debt)
    }

    @Test(arguments: [
        (#""template":"loyalty","facts":{}"#, "template: expected one of low_balance, balance_exhausted"),
        (#""facts":{}"#, "'template' is missing"), (#""template":"low_balance""#, "'facts' is missing"),
        (#""template":"low_balance","facts":{"balance":4}"#, "'level' is missing"),
        (#""template":"low_balance","facts":{"balance":4,"level":0.5}"#, "'level' must be an integer"),
        (#""template":"balance_exhausted","facts":{"balance":1e99}"#, "'balance' must be an integer"),
    ])
    func `a mail of an unknown template, or without its facts, is malformed and names the field`(rest: String, reason: String) {
        let body = #"{"user_id":"0190b5a0-0000-7000-8000-000000000001",\#(rest)}"#
        let error = #expect(throws: (any Error).self) { try SendMail(decoding: Array(body.utf8)) }
        #expect(error.map { "\($0)" } == reason)
    }

    @Test(arguments: [
        (#""features":{"priority":0},"seq":"1""#, "'seq' must be an integer"), (#""seq":1"#, "'features' is missing"),
        (#""features":{},"seq":1"#, "'priority' is missing"),
        (#""features":{"endpoints":["chat",7],"priority":0},"seq":1"#, "endpoints: expected an array of strings"),
        (#""features":{"priority":0},"seq":1,"valid_until":-1"#, "valid_until: expected microseconds of the years 1970 to 9999"),
    ])
    func `a malformed change of a plan names the field`(rest: String, reason: String) {
        let body = #"{"user_id":"0190b5a0-0000-7000-8000-000000000001","plan":"pro",\#(rest)}"#
        let error = #expect(throws: (any Error).self) { try PlanChanged(decoding: Array(body.utf8)) }
        #expect(error.map { "\($0)" } == reason)
    }

    @Test func `a malformed id names its field`() {
        let error = #expect(throws: MessageError.self) { try QueryBalance(decoding: Array(#"{"account_id":"42"}"#.utf8)) }
        #expect(error?.description == "account_id: expected a UUID")
    }
}
