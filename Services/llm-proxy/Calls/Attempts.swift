import Contracts
import Values

/// The order in which a call tries the routes to its model, before its answer begins.
///
/// Each route is tried once, in the catalogue's order. After the last one, one provider is called a
/// second time, after a short pause.
struct Attempts: Sendable {
    enum Step: Sendable {
        /// Calls a provider, after a pause.
        case send(CallBound, after: Duration)
        case giveUp
    }

    /// The most attempts of one call.
    static let countMax = 3
    /// The pause before a provider is called again, if the provider asks for no longer one.
    static let pause = Duration.milliseconds(250)
    /// The longest pause that a provider can ask for. A client can wait longer itself.
    static let pauseMax = Duration.seconds(2)

    private let routes: [CallBound]
    /// The number of routes that were tried or passed over.
    private var tried = 1
    private var made = 1
    private var current: CallBound
    /// The first route whose failure may be over after a pause. It is taken once.
    private var repetition: (bound: CallBound, pause: Duration)?
    private var hasRepeated = false

    /// - Parameter routes: the bounds of the call on each route, in the order of their trial. At least one.
    init(_ routes: [CallBound]) { (self.routes, current) = (routes, routes[0]) }

    /// Decides after a failure of the last attempt.
    /// - Parameters:
    ///   - granted: the hold. A route whose least answer it does not pay for is passed over.
    ///   - isOpen: returns true for a provider that is not to be called now.
    mutating func next(after failure: ProviderFailure, granted: Credits, isOpen: (String) -> Bool) -> Step {
        guard failure.isWorthAnotherAttempt, made < Self.countMax else { return .giveUp }
        if repetition == nil, !hasRepeated, let pause = Self.pause(after: failure) { repetition = (current, pause) }
        made += 1
        while tried < routes.count {
            let bound = routes[tried]
            tried += 1
            if !isOpen(bound.model.provider.name), let least = bound.amounts?.least, least <= granted {
                current = bound
                return .send(bound, after: .zero)
            }
        }
        guard let (bound, pause) = repetition, !isOpen(bound.model.provider.name) else { return .giveUp }
        (repetition, hasRepeated) = (nil, true)
        current = bound
        return .send(bound, after: pause)
    }

    /// Returns the pause after which the same provider may answer; nil if that is not likely soon.
    private static func pause(after failure: ProviderFailure) -> Duration? {
        switch failure.kind {
        case .unreachable: return pause
        case .refused(let status, let seconds) where status == 429 || status >= 500 && status != 504:
            let asked = seconds.map { Duration.seconds($0) } ?? pause
            return asked <= pauseMax ? max(asked, pause) : nil
        default: return nil
        }
    }
}
