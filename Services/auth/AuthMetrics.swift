import Telemetry

/// The metrics of sign-ins. A rise of failures or reuse is an attack, or a client that lost its tokens.
struct AuthMetrics: Sendable {
    let registrations: Counter
    let registrationsThrottled: Counter
    let deviceCodesRequested: Counter
    let deviceCodesRedeemed: Counter
    let signInsSucceeded: Counter
    let signInsFailed: Counter
    let signInsThrottled: Counter
    let openIDSucceeded: Counter
    let openIDRefused: Counter
    let openIDFailed: Counter
    let refreshesSucceeded: Counter
    let refreshesRefused: Counter
    let refreshesReused: Counter

    init(_ metrics: Metrics = .shared) {
        func signIns(_ outcome: String) -> Counter {
            metrics.counter("auth_sign_ins_total", help: "Attempts to sign in with a password.", labels: ["outcome": outcome])
        }
        func openID(_ outcome: String) -> Counter {
            metrics.counter("auth_openid_sign_ins_total", help: "Sign-ins with OpenID providers.", labels: ["outcome": outcome])
        }
        func refreshes(_ outcome: String) -> Counter {
            metrics.counter("auth_refreshes_total", help: "Refresh tokens presented.", labels: ["outcome": outcome])
        }
        func registrations(_ outcome: String) -> Counter {
            metrics.counter("auth_registrations_total", help: "Registrations.", labels: ["outcome": outcome])
        }
        self.registrations = registrations("success")
        registrationsThrottled = registrations("throttled")
        func deviceCodes(_ outcome: String) -> Counter {
            metrics.counter("auth_device_codes_total", help: "Codes of devices.", labels: ["outcome": outcome])
        }
        deviceCodesRequested = deviceCodes("requested")
        deviceCodesRedeemed = deviceCodes("redeemed")
        signInsSucceeded = signIns("success")
        signInsFailed = signIns("failure")
        signInsThrottled = signIns("throttled")
        openIDSucceeded = openID("success")
        openIDRefused = openID("refused")
        openIDFailed = openID("failure")
        refreshesSucceeded = refreshes("success")
        refreshesRefused = refreshes("refused")
        refreshesReused = refreshes("reused")
    }
}
