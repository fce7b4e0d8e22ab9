import Configuration
import LedgerCore
import Values

/// The ledger's own variables, next to the common ones.
///
/// | variable | default | |
/// |---|---|---|
/// | `HOLD_TTL_MAX` | `10m` | 1s…1h; a longer hold is cut to this |
/// | `EXPIRY_SWEEP_INTERVAL` | `1s` | 50ms…1m between looks for expired holds |
/// | `EXPIRY_GRACE` | `30s` | 1s…10m between the expiry that marks an overdue hold and the one that ends it: a proxy's longest reconnection (15 s + 5 s), one report (5 s), and 5 s more |
/// | `LOW_BALANCE_LEVEL` | `1` | credits, 0…1000000; an account without a level of its own gets `balance.low` below it; 0: never |
/// | `BATCH_COMMANDS_MAX` | `1000` | 1…5000 commands in one transaction |
/// | `AUDIT_AT` | `03:30` | hour and minute of UTC of the nightly audit; `off`: none |
struct LedgerSettings: Sendable {
    let limits: Limits
    let sweepInterval: Duration
    let commandsMax: Int
    let auditTime: TimeOfDay?

    init(_ environment: Environment) throws(ConfigurationError) {
        var limits = Limits()
        limits.timeToLiveMax = try environment.duration("HOLD_TTL_MAX", default: .seconds(600), in: .seconds(1) ... .seconds(3_600))
        let level = try environment.integer("LOW_BALANCE_LEVEL", default: 1, in: 0...1_000_000)
        limits.lowBalanceLevel = level > 0 ? Credits(whole: Int64(level)) : nil
        limits.expiryGrace = try environment.duration("EXPIRY_GRACE", default: .seconds(30), in: .seconds(1) ... .seconds(600))
        self.limits = limits
        sweepInterval = try environment.duration(
            "EXPIRY_SWEEP_INTERVAL", default: .seconds(1), in: .milliseconds(50) ... .seconds(60))
        commandsMax = try environment.integer("BATCH_COMMANDS_MAX", default: 1_000, in: 1...5_000)
        auditTime = try Self.auditTime(environment)
    }

    private static func auditTime(_ environment: Environment) throws(ConfigurationError) -> TimeOfDay? {
        let text = environment.string("AUDIT_AT", default: "03:30")
        guard text != "off" else { return nil }
        guard let time = TimeOfDay(text) else {
            throw .malformed("AUDIT_AT", found: text, expected: "an hour and minute of UTC such as 03:30, or off")
        }
        return time
    }
}
