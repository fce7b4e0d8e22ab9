import HTTP
import HTTPWire
import Identity
import Values
import Web

/// `GET /pricing`: what the models cost and what a call is charged for, for everybody.
struct PricePages: Sendable {
    let catalogue: CurrentCatalogue
    let site: Site
    /// Returns the signed-in person; nil for any other client.
    let viewer: @Sendable (HeaderBlock) async -> Principal?
    /// Nil when the ledger does not say.
    let balance: @Sendable (AccountID) async -> Balance?

    /// `q`: a part of the names of models.
    func show(_ request: Request) async throws -> Response {
        let filter = try request.query.optionalString(PricingPage.filter) ?? ""
        let person = await viewer(request.headers)
        var viewer = site.viewer(request, person)
        if let person { viewer.balance = await balance(person.accountID) }
        return PricingPage(viewer: viewer, models: catalogue.current.sorted.map { ($0.id, ListedPrice($0.price)) }).show(filter)
    }

    func showAsset(_ request: Request) async throws -> Response { try site.assets.answer(request.pathParameters["file"]) }
}
