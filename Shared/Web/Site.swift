package import HTTP
import HTTPWire
package import Identity
package import Values

/// The pages of a service: its assets, their address, and the clock that they tell the time by.
package struct Site: Sendable {
    package let assets: Assets
    private let publicURL: String
    private let formOrigins: [String]
    private let clock: @Sendable () -> Instant

    /// - Parameters:
    ///   - service: the name below `/assets/`.
    ///   - publicURL: `PUBLIC_URL`.
    ///   - formOrigins: origins that the forms may lead to, next to that of `PUBLIC_URL`.
    package init(service: String, publicURL: String, formOrigins: [String] = [], clock: @escaping @Sendable () -> Instant = Instant.now) {
        assets = Assets(service: service)
        (self.publicURL, self.formOrigins) = (publicURL, formOrigins)
        self.clock = clock
    }

    /// The viewer of an answer.
    /// - Parameter principal: the caller by a cookie; nil for a person who is not signed in.
    package func viewer(_ request: Request, _ principal: Principal? = nil) -> Viewer {
        viewer(request.headers, target: request.target, principal)
    }

    /// Makes the page of a refusal. It offers to send a form again, unless another site may have written the form.
    /// - Parameter principal: the caller, as far as it is known without waiting.
    package func page(for problem: Problem, to exchange: Exchange, _ principal: Principal?) -> Response {
        let viewer = viewer(exchange.headers, target: exchange.target, principal)
        let isOurs = (try? exchange.headers.checkOrigin(of: publicURL)) != nil
        return viewer.show(problem, sent: (isOurs ? try? FormInput(exchange) : nil) ?? FormInput())
    }

    private func viewer(_ headers: HeaderBlock, target: [UInt8], _ principal: Principal?) -> Viewer {
        Viewer(
            language: Language(headers, account: principal?.locale), timeZone: principal?.timeZone ?? "UTC", principal: principal,
            here: Link(String(decoding: target, as: UTF8.self)) ?? "/", now: clock(), assets: assets, formOrigins: formOrigins)
    }
}
