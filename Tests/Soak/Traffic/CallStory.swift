import Contracts
import Values

/// One call to a model, as its proxy reports it to the ledger, from the hold to the end. It is
/// drawn before it begins, so that the answers of the ledger do not change what is drawn later.
struct CallStory: Sendable {
    enum Step: Sendable {
        case report
        case extend(HoldAmounts)
    }

    enum End: Sendable { case settle, void, abandon }

    let hold: Ask
    let key: CallerKey?
    private let timeToLive: Duration
    /// True if the call waits for each answer, as a proxy does. Otherwise it sends all messages
    /// without waiting, in any order.
    private let isOrderly: Bool
    private let patience: Duration
    /// The most questions for the hold while other holds reserve the credits.
    private let questionsMax: Int
    /// The times at which the same hold is asked again.
    private let holdAgain: [Duration]
    /// The same id with another amount, sent at that time.
    private let otherHold: (Ask, Duration)?
    private let steps: [(Step, used: Credits, pause: Duration, copies: [Duration])]
    private let end: End
    private let cost: Credits
    private let endPause: Duration
    private let endCopies: [Duration]
    /// A second end with other content.
    private let otherEnd: (Ask, Duration)?
    /// A hold under the same id for another account at the same moment, from another sender.
    private let strangers: Ask?
    /// True if the call voids a hold without an answer.
    private let voidsUnanswered: Bool
    private let settlesRefused: Bool

    init(of customer: inout Customer) {
        let id = ChargeID.make()
        let account = customer.account
        key = customer.drawKey()
        var dice = customer.dice.split()
        let amounts = Self.drawAmounts(customer.habit.price, &dice)
        let amount = amounts.usual
        end = dice.pick([(70, .settle), (12, .void), (18, .abandon)])
        // An abandoned hold lives for a short time, so that quiet points come soon.
        let isShort = end == .abandon || dice.chance(30)
        timeToLive = isShort ? dice.milliseconds(600...4_000) : dice.milliseconds(8_000...60_000)
        let takesShare = dice.chance(40)
        hold = Ask(id: id, account: account, action: .hold(amounts, takesShare: takesShare, timeToLive: timeToLive, key: key))
        questionsMax = dice.chance(50) ? 1 : Int.random(in: 2...6, using: &dice)
        isOrderly = dice.chance(70)
        patience = dice.milliseconds(500...3_000)
        holdAgain = dice.chance(20) ? (0..<Int.random(in: 1...2, using: &dice)).map { _ in dice.milliseconds(0...5_000) } : []
        let more = HoldAmounts(most: amounts.most + Credits(nano: 1), usual: amounts.usual, least: amounts.least)
        let other = Ask(id: id, account: account, action: .hold(more, takesShare: takesShare, timeToLive: timeToLive, key: key))
        otherHold = dice.chance(3) ? (other, dice.milliseconds(0...3_000)) : nil
        var used = Credits.zero
        var steps: [(Step, used: Credits, pause: Duration, copies: [Duration])] = []
        for _ in 0..<dice.pick([(45, 0), (25, 1), (15, 2), (10, 3), (5, 5)]) {
            used += dice.share(of: amount, percent: 1...40)
            let extra = Self.drawAmounts(customer.habit.price, &dice)
            let step: Step = dice.chance(30) ? .extend(extra) : .report
            steps.append((step, used, dice.milliseconds(50...900), dice.copies()))
        }
        self.steps = steps
        cost = dice.pick([
            (8, .zero), (72, dice.share(of: amount, percent: 1...100)), (12, amount), (8, dice.share(of: amount, percent: 100...300)),
        ])
        // Some settlements come after the hold has expired.
        endPause = isShort && dice.chance(40) ? timeToLive + dice.milliseconds(100...12_000) : dice.milliseconds(0...1_200)
        endCopies = dice.copies()
        voidsUnanswered = !isShort || dice.chance(70)
        settlesRefused = key == nil && dice.chance(8)
        otherEnd = Self.drawOtherEnd(hold, cost, key, &dice)
        let strangersAction: Ask.Action =
            dice.chance(50)
            ? .settle(amount: cost, key: nil) : .hold(amounts, takesShare: takesShare, timeToLive: .seconds(2), key: nil)
        strangers = dice.chance(3) ? Ask(id: id, account: customer.stranger, action: strangersAction) : nil
    }

    private static func drawAmounts(_ price: ClosedRange<Double>, _ dice: inout Dice) -> HoldAmounts {
        let usual = dice.credits(price)
        let least = dice.chance(60) ? dice.share(of: usual, percent: 1...60) + Credits(nano: 1) : usual
        let most = dice.chance(50) ? usual + dice.share(of: usual, percent: 1...700) : usual
        return HoldAmounts(most: most, usual: usual, least: min(least, usual))
    }

    private static func drawOtherEnd(_ hold: Ask, _ cost: Credits, _ key: CallerKey?, _ dice: inout Dice) -> (Ask, Duration)? {
        guard dice.chance(4) else { return nil }
        let action: Ask.Action = dice.chance(60) ? .settle(amount: cost + Credits(nano: 1), key: key) : .void
        return (Ask(id: hold.id, account: hold.account, action: action), dice.milliseconds(0...4_000))
    }

    // MARK: Playing

    func play(on driver: Driver) async {
        await withDiscardingTaskGroup { group in
            for pause in holdAgain { group.addTask { _ = await driver.ask(hold, within: patience, after: pause) } }
            if let (other, pause) = otherHold { group.addTask { _ = await driver.ask(other, within: patience, after: pause) } }
            if let (other, pause) = otherEnd { group.addTask { await driver.send(other, after: pause) } }
            if let strangers { group.addTask { await play(strangers, on: driver) } }
            if isOrderly { await playInOrder(on: driver, &group) } else { playAtOnce(on: driver, &group) }
        }
    }

    private func play(_ strangers: Ask, on driver: Driver) async {
        guard strangers.isQuestion else { return await driver.send(strangers, after: .zero) }
        _ = await driver.ask(strangers, within: patience)
        await driver.send(Ask(id: strangers.id, account: strangers.account, action: .void), after: .zero)
    }

    private func playInOrder(on driver: Driver, _ group: inout DiscardingTaskGroup) async {
        var reply: HoldReply?
        for number in 1...questionsMax {
            reply = await driver.ask(hold, isLast: number == questionsMax, within: patience)
            guard reply == nil || reply?.status == .awaitingFunds || reply?.status == .busy else { break }
            await driver.pause(for: .milliseconds(250))
        }
        switch reply?.status {
        case .granted: break
        case nil, .awaitingFunds, .busy:
            if voidsUnanswered { send(.void, endCopies, on: driver, &group) }
            return
        case .conflict:
            // The ledger has another hold of this story under the id, or the hold of the stranger.
            send(.void, endCopies, on: driver, &group)
            return
        default:
            if settlesRefused { send(.settle(amount: cost, key: key), endCopies, on: driver, &group) }
            return
        }
        for number in steps.indices {
            await driver.pause(for: steps[number].pause)
            let step = ask(number)
            if step.isQuestion {
                if await driver.ask(step, within: patience) == nil { _ = await driver.ask(step, isLast: true, within: patience) }
            } else {
                for pause in steps[number].copies { group.addTask { await driver.send(step, after: pause) } }
            }
        }
        await driver.pause(for: endPause)
        if let ending { send(ending, endCopies, on: driver, &group) }
    }

    private func playAtOnce(on driver: Driver, _ group: inout DiscardingTaskGroup) {
        group.addTask { _ = await driver.ask(hold, within: patience, after: endPause / 2) }
        for number in steps.indices {
            let step = ask(number)
            for pause in steps[number].copies {
                group.addTask {
                    if step.isQuestion {
                        _ = await driver.ask(step, within: patience, after: pause + steps[number].pause)
                    } else {
                        await driver.send(step, after: pause + steps[number].pause)
                    }
                }
            }
        }
        if let ending { send(ending, endCopies.map { $0 + steps.reduce(.zero) { $0 + $1.pause } / 2 }, on: driver, &group) }
    }

    private func send(_ action: Ask.Action, _ pauses: [Duration], on driver: Driver, _ group: inout DiscardingTaskGroup) {
        let ask = Ask(id: hold.id, account: hold.account, action: action)
        for pause in pauses { group.addTask { await driver.send(ask, after: pause) } }
    }

    private func ask(_ number: Int) -> Ask {
        let action: Ask.Action =
            switch steps[number].0 {
            case .report: .report(used: steps[number].used, timeToLive: timeToLive)
            case .extend(let extra): .extend(step: Int64(number + 1), extra, used: steps[number].used, timeToLive: timeToLive)
            }
        return Ask(id: hold.id, account: hold.account, action: action)
    }

    private var ending: Ask.Action? {
        switch end {
        case .settle: .settle(amount: cost, key: key)
        case .void: .void
        case .abandon: nil
        }
    }
}
