import Contracts
import Values

/// An account and the way it is used.
struct Customer: Sendable {
    enum Habit: CaseIterable, Sendable {
        /// An account that always has enough credits.
        case rich
        /// An account with few credits: clamped and refused holds, overage, calls that wait for
        /// credits.
        case scarce
        /// An account whose credits expire within seconds.
        case expiring
        /// An account whose purchases are refunded and disputed.
        case disputed
        /// An account with limited API keys. Some of these accounts have limits too.
        case limited
        /// An account with calls before its first purchase.
        case late
        /// An account with many calls at once.
        case hot
        /// An account whose row an operator locks while a hold expires.
        case locked
        /// An account whose refused questions are redelivered.
        case redelivered

        var customers: Int {
            switch self {
            case .rich, .disputed: 6
            case .scarce, .expiring: 8
            case .limited: 5
            case .late: 2
            case .hot, .locked, .redelivered: 1
            }
        }

        /// The mean time between two stories of the account.
        var pace: Duration {
            switch self {
            case .hot: .milliseconds(120)
            case .locked: .seconds(3)
            case .redelivered: .seconds(2)
            default: .milliseconds(500)
            }
        }

        /// The price of one call, in credits.
        var price: ClosedRange<Double> {
            switch self {
            case .rich: 0.01...3
            case .scarce, .disputed: 0.5...9
            case .expiring, .limited, .late: 0.1...4
            case .hot, .locked, .redelivered: 0.01...0.8
            }
        }

        /// The amount of one grant, in credits.
        var grant: ClosedRange<Double> {
            switch self {
            case .rich: 10...500
            case .scarce: 1...18
            case .expiring: 0.5...20
            case .disputed: 1...40
            case .limited: 20...200
            case .late, .hot, .locked, .redelivered: 0.5...10
            }
        }

        var storyWeights: [(weight: Int, Story)] {
            switch self {
            case .rich, .limited: [(95, .call), (5, .grant)]
            case .scarce, .late: [(85, .call), (15, .grant)]
            case .expiring, .disputed: [(65, .call), (35, .grant)]
            case .hot: [(94, .call), (6, .grant)]
            case .locked: [(1, .lock)]
            case .redelivered: [(1, .refusal)]
            }
        }
    }

    enum Story: Sendable { case call, grant, lock, refusal }

    let account: AccountID
    let habit: Habit
    /// Another account, for asks that name the wrong one.
    let stranger: AccountID
    var dice: Dice
    /// The number of calls. The account uses a new key after 25 calls, because the limit of a key
    /// is soon reached.
    private var calls = 0

    /// Draws the customers of a round.
    static func all(_ dice: inout Dice) -> [Customer] {
        let accounts = Habit.allCases.flatMap { habit in (0..<habit.customers).map { _ in (AccountID.make(), habit) } }
        return accounts.indices.map { index in
            let (account, habit) = accounts[index]
            return Customer(account: account, habit: habit, stranger: accounts[index == 0 ? 1 : 0].0, dice: dice.split())
        }
    }

    private init(account: AccountID, habit: Habit, stranger: AccountID, dice: Dice) {
        (self.account, self.habit, self.stranger, self.dice) = (account, habit, stranger, dice)
    }

    /// The credits that the account starts with.
    var initialGrant: Credits? {
        switch habit {
        case .rich: Credits(whole: 20_000)
        case .limited: Credits(whole: 1_000)
        case .scarce, .disputed, .hot: Credits(whole: 20)
        case .expiring, .late, .locked, .redelivered: nil
        }
    }

    /// Draws the account's own spending limits, which only some accounts have.
    mutating func drawLimits() -> SpendingLimits? {
        guard habit == .limited, dice.chance(60) else { return nil }
        return SpendingLimits(daily: dice.credits(20...200), monthly: dice.chance(50) ? dice.credits(20...200) : nil)
    }

    /// Draws the pause before the next story.
    mutating func drawPause() -> Duration {
        let mean = Int(habit.pace.wholeMilliseconds)
        return dice.milliseconds(0...2 * mean)
    }

    mutating func drawStory() -> Story { dice.pick(habit.storyWeights) }

    mutating func drawKey() -> CallerKey? {
        guard habit == .limited else { return nil }
        calls += 1
        guard dice.chance(85) else { return nil }
        // The limits follow from the key, as at auth.
        let number = calls / 25
        var limits = Dice(account.rawValue.low &+ UInt64(number))
        return CallerKey(
            id: APIKeyID(rawValue: "\(account.description.suffix(6))\(number)"),
            limits: SpendingLimits(
                daily: limits.chance(70) ? limits.credits(1...25) : nil, monthly: limits.chance(50) ? limits.credits(1...30) : nil))
    }
}
