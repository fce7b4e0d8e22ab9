package import Contracts
package import Values

/// Something the ledger is asked to do. The id is made by the asker before asking and kept for every repetition.
package struct Command: Equatable, Sendable {
    package let id: ChargeID
    package let account: AccountID
    package let action: Action
    /// The API key the call came with.
    package var key: APIKeyID?
    package var context = Context()
    /// True if the broker delivered this question before, or if the proxy may have given up. The
    /// ledger answers it from its row. Without a row the ledger grants nothing: the first answer
    /// may have been a refusal, which leaves no row.
    package var isRedelivered = false

    package init(
        id: ChargeID, account: AccountID, action: Action, key: APIKeyID? = nil, context: Context = Context(), isRedelivered: Bool = false
    ) {
        self.id = id
        self.account = account
        self.action = action
        self.key = key
        self.context = context
        self.isRedelivered = isRedelivered
    }

    package enum Action: Equatable, Sendable {
        /// Reserves credits for `timeToLive`, counted from the ledger's own time. With `takesShare`
        /// some credits stay free for other calls (``PlaceHold/takesShare``). `keyLimits` are the
        /// limits of the API key.
        case hold(HoldAmounts, takesShare: Bool = false, timeToLive: Duration, keyLimits: SpendingLimits? = nil)
        /// Adds credits to the running hold, and reports usage. `step` identifies a repetition.
        case extend(step: Int64, HoldAmounts, usedSoFar: Credits, timeToLive: Duration)
        /// Usage so far, cumulative. Keeps the running hold alive; decides what an expiry takes.
        case report(usedSoFar: Credits, timeToLive: Duration)
        /// Marks the hold that is overdue since `due`, or ends it if it is already marked
        /// (``ExpireHold``).
        case expire(due: Instant)
        /// Ends the account's expired lots, as every batch does with the accounts it touches.
        case expireLots
        /// Ends the charge at its true cost, above or below the hold; with no hold a charge of what there is.
        case settle(amount: Credits)
        /// Ends the charge at nothing. Gives back what an expiry took.
        case void
        /// A charge in one step, all or nothing.
        case charge(amount: Credits)
        /// Gives credits, which end at `expiresAt`; an adjustment may also take them, all or nothing.
        case grant(Grant, amount: Credits, expiresAt: Instant? = nil)
        /// Takes a grant back, or gives it back, until `target` of it is taken; of several the highest version counts.
        case reverse(grant: ChargeID, target: Credits, version: Int64)
    }

    /// True for a command of the sweep. The ledger may drop it, because the sweep asks again.
    package var isHousekeeping: Bool {
        switch action {
        case .expire, .expireLots: true
        default: false
        }
    }

    /// True for a question about a call. The proxy waits for the answer and gives up after some
    /// seconds.
    package var isQuestion: Bool {
        switch action {
        case .hold, .extend: true
        default: false
        }
    }

    package enum Grant: Sendable {
        case purchase, planGrant, bonus, refund, adjustment, topup

        package var kind: Entry.Kind {
            switch self {
            case .purchase: .purchase
            case .planGrant: .planGrant
            case .bonus: .bonus
            case .refund: .refund
            case .adjustment: .adjustment
            case .topup: .topup
            }
        }
    }

    /// FNV-1a over what the command would do: who, what, how much. Descriptions and traces may differ between repetitions.
    package var fingerprint: Int64 {
        var hash = FNV1a()
        hash.add(account.rawValue.high)
        hash.add(account.rawValue.low)
        switch action {
        case .hold(let amounts, _, let timeToLive, _):
            hash.add(1, amounts.most, amounts.usual, amounts.least)
            hash.add(UInt64(bitPattern: timeToLive.wholeMilliseconds))
        case .extend(_, let amounts, _, _): hash.add(6, amounts.most, amounts.usual, amounts.least)
        case .report(let used, _): hash.add(2, used)
        case .expire(let due):
            hash.add(7)
            hash.add(due)
        case .expireLots: hash.add(8)
        case .settle(let amount): hash.add(3, amount)
        case .void: hash.add(4)
        case .charge(let amount): hash.add(5, amount)
        case .grant(let grant, let amount, let expiresAt):
            hash.add(UInt64(grant.kind.rawValue), amount)
            if let expiresAt { hash.add(expiresAt) }
        case .reverse(let grant, let target, let version):
            hash.add(UInt64(Entry.Kind.clawback.rawValue), target)
            hash.add(grant.rawValue.high)
            hash.add(grant.rawValue.low)
            hash.add(UInt64(bitPattern: version))
        }
        return Int64(bitPattern: hash.value)
    }
}

private struct FNV1a {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            value = (value ^ (number >> shift & 0xff)) &* 0x100_0000_01b3
        }
    }

    mutating func add(_ time: Instant) { add(UInt64(bitPattern: time.microseconds)) }

    mutating func add(_ tag: UInt64, _ amounts: Credits...) {
        add(tag)
        for amount in amounts { add(UInt64(bitPattern: amount.nano)) }
    }
}
