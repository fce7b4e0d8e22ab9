import Values

/// The calls of one account that wait for credits of its other calls. The line decides which call
/// asks the ledger next.
///
/// One call at a time asks. It keeps its place until it is granted or leaves. ``FundsLines``
/// performs the steps.
struct FundsLine: Sendable {
    enum Step: Hashable, Sendable {
        case none
        /// The call at this place asks the ledger now.
        case wake(ChargeID)
        /// The line asks nothing for ``pause``. After it, call ``pauseEnded(_:)`` with the number
        /// of the pause.
        case pause(number: Int)
    }

    /// The time between two questions that found too few credits.
    static let pause = Duration.milliseconds(50)
    /// The most calls in one line. A call that finds no place is refused at once.
    static let placesMax = 1_024

    private enum Phase {
        case idle
        case pausing(number: Int)
        case asking(ChargeID)
    }

    private var places: [(id: ChargeID, need: Credits)] = []
    private var phase = Phase.idle
    private var pauses = 0
    /// The credits that the account could spend, by the ledger's last answer.
    private var spendable = Credits.zero

    var isEmpty: Bool { places.isEmpty }

    /// Returns whether a new call may ask for itself: the line is empty, or the account can spend
    /// all that the call needs.
    func letsAsk(need: Credits) -> Bool { places.isEmpty || need <= spendable }

    mutating func heard(spendable: Credits) { self.spendable = spendable }

    /// Gives the call the last place. Nil: the line is full.
    mutating func join(_ id: ChargeID, need: Credits) -> Step? {
        guard places.count < Self.placesMax else { return nil }
        places.append((id, need))
        guard case .idle = phase else { return Step.none }
        return startPause()
    }

    mutating func pauseEnded(_ number: Int) -> Step {
        guard case .pausing(number) = phase else { return .none }
        return next()
    }

    /// Ends the pause early, because a call of the account ended and may have freed credits.
    mutating func freed() -> Step {
        guard case .pausing = phase else { return .none }
        return next()
    }

    /// - Parameter stays: false if the answer ends the wait: a grant or a refusal.
    mutating func answered(_ id: ChargeID, stays: Bool) -> Step {
        guard case .asking(id) = phase else { return .none }
        guard !stays else { return startPause() }
        remove(id)
        return next()
    }

    /// Removes a call that hung up, failed, or asks its last question for itself.
    mutating func leave(_ id: ChargeID) -> Step {
        remove(id)
        guard case .asking(id) = phase else { return .none }
        return places.isEmpty ? next() : startPause()
    }

    /// Chooses the call that asks next: the first one whose need the account can pay, otherwise the
    /// first in the line. So a large need is asked for too.
    private mutating func next() -> Step {
        guard let chosen = places.first(where: { $0.need <= spendable }) ?? places.first else {
            phase = .idle
            return .none
        }
        phase = .asking(chosen.id)
        return .wake(chosen.id)
    }

    private mutating func startPause() -> Step {
        pauses += 1
        phase = .pausing(number: pauses)
        return .pause(number: pauses)
    }

    private mutating func remove(_ id: ChargeID) { places.removeAll { $0.id == id } }
}
