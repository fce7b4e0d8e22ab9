import HTTP
import Identity
import Postgres
import Text
import Values
import Web

/// The pages by which a user buys credits.
extension Routes {
    /// `credits`: an amount whose price is shown.
    func showBuy(_ request: Request, caller: Principal) async throws -> Response {
        var sent = FormInput(try request.query.optionalString(BuyPage.credits).map { [BuyPage.credits: $0] } ?? [:])
        let page = try await buyPage(request, caller)
        guard !sent[BuyPage.credits].isEmpty else { return page.show() }
        guard let offer = offer(&sent, page) else { return page.show(sent, status: 400) }
        return page.show(sent, offer: offer)
    }

    /// A form {credits} → 303 to Stripe's checkout page. The same form again leads to the same page until it is paid.
    func submitBuy(_ request: Request, caller: Principal) async throws -> Response {
        var sent = try FormInput(request)
        let page = try await buyPage(request, caller)
        guard let offer = offer(&sent, page) else { return page.show(sent, status: 400) }
        switch try await order(.credits(offer), by: caller, back: Place.buy.link) {
        case .checkout(let checkout): return page.viewer.seeOther(checkout)
        case .hindered(let obstacle):
            return BuyPage(viewer: page.viewer, catalogue: page.catalogue, obstacle: obstacle).show(sent, offer: offer, status: 403)
        case .alreadySubscribed: throw Problem.conflict("Credits need no subscription.")
        }
    }

    private func buyPage(_ request: Request, _ caller: Principal) async throws -> BuyPage {
        async let viewer = viewer(request, caller)
        let packages = try await pool.query(ReadPackages())
        return BuyPage(
            viewer: await viewer, catalogue: Catalogue(packages: packages, plans: []), obstacle: try await obstacle(of: caller))
    }

    /// Reads the amount, or notes its error.
    private func offer(_ sent: inout FormInput, _ page: BuyPage) -> Offer? {
        if let offer = Int64(sent[BuyPage.credits].trimmed).flatMap({ page.catalogue.offer(credits: $0) }) { return offer }
        let (range, viewer) = (Catalogue.customCredits, page.viewer)
        let strings = BuyStrings(language: viewer.language)
        sent.refuse(BuyPage.credits, strings.wrongCredits(viewer.number(range.lowerBound), viewer.number(range.upperBound)))
        return nil
    }

    /// The reason why a user cannot buy now; nil if there is none.
    func obstacle(of caller: Principal) async throws -> Obstacle? {
        guard try await pool.first(FindCustomer(userID: caller.userID)) != nil else { return .notVerified }
        return try await pool.one(HasOpenDispute(userID: caller.userID)) ? .disputed : nil
    }

    /// The outcome of an order.
    enum Ordered {
        case checkout(OutsideLink)
        case hindered(Obstacle)
        case alreadySubscribed
    }

    /// Orders something.
    /// - Parameter back: the page to which a user comes back without a payment.
    func order(_ wish: Checkout.Wish, by caller: Principal, back: Link) async throws -> Ordered {
        let outcome = try await billing.checkout.start(
            wish, for: caller.userID, successURL: "\(billing.publicURL)/buy/done?session_id={CHECKOUT_SESSION_ID}",
            cancelURL: "\(billing.publicURL)\(back)")
        switch outcome {
        case .page(let purchase):
            guard let checkout = purchase.sessionURL.flatMap({ OutsideLink($0) }) else {
                throw StripeError.malformed("a session without a URL")
            }
            return .checkout(checkout)
        case .notVerified: return .hindered(.notVerified)
        case .disputed: return .hindered(.disputed)
        case .alreadySubscribed: return .alreadySubscribed
        case .tooManyOrders: throw Problem.tooManyOrders
        }
    }

    // MARK: After the payment

    /// `session_id`, and `tries`, which the page counts itself.
    func showOrder(_ request: Request, caller: Principal) async throws -> Response {
        let tries = try request.query.integer("tries", default: 0, in: 0...OrderPage.triesMax)
        let order = try await order(try request.query.string("session_id"), of: caller)
        var arrived: Credits?
        if order.status == .paid { arrived = try await arrivals.credits(of: order) }
        let plan = order.plan.map { Plan.ID(text: $0) }
        let name = plan == nil ? nil : try await pool.first(ReadPlans(id: plan))?.name
        // The balance is asked last: it contains what has arrived.
        return OrderPage(viewer: await viewer(request, caller), order: order, planName: name ?? "").show(arrived: arrived, tries: tries)
    }
}
