package import HTTP
import HTTPWire
package import Identity
package import Values

/// The pages of a service: its assets, and the clock that they tell the time by.
package struct Site: Sendable {
    package let assets: Assets
    private let clock: @Sendable () -> Instant

    /// - Parameter service: the name below `/assets/`.
    package init(service: String, clock: @escaping @Sendable () -> Instant = Instant.now) {
        assets = Assets(service: service)
        self.clock = clock
    }

    /// The viewer of an answer.
    /// - Parameter principal: the caller by a cookie; nil for a person who is not signed in.
    package func viewer(_ request: Request, _ principal: Principal? = nil) -> Viewer {
        viewer(request.headers, target: request.target, principal)
    }

    /// The viewer of the answer to a request that no handler has seen.
    package func viewer(_ exchange: Exchange, _ principal: Principal?) -> Viewer {
        viewer(exchange.headers, target: exchange.target, principal)
    }

    private func viewer(_ headers: HeaderBlock, target: [UInt8], _ principal: Principal?) -> Viewer {
        Viewer(
            language: Language(headers, account: principal?.locale), timeZone: principal?.timeZone ?? "UTC", principal: principal,
            here: Link(String(decoding: target, as: UTF8.self)) ?? "/", now: clock(), assets: assets)
    }
}
