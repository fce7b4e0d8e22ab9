package import HTTP
package import HTTPWire

/// A door without rows of its own. Tests add routes to a router as closures.
package struct ClosureDoor: HTTPDoor {
    package typealias Caller = Never

    package static let table: [Route<ClosureDoor>] = []
}

extension Router {
    /// Adds a public route.
    package mutating func on(
        _ method: HTTPWire.Method, _ pattern: String, bodyBytesMax: Int = .max, errors: ErrorShape = .openAI,
        _ handler: @escaping Route<ClosureDoor>.PublicHandler
    ) {
        add(
            Route<ClosureDoor>(method, [pattern], access: .public, bodyBytesMax: bodyBytesMax, errors: errors) { _ in handler },
            of: ClosureDoor())
    }

    /// Adds a public route whose handler answers on the exchange.
    package mutating func onExchange(
        _ method: HTTPWire.Method, _ pattern: String, bodyBytesMax: Int = .max, _ handler: @escaping Route<ClosureDoor>.ExchangeHandler
    ) {
        add(
            Route<ClosureDoor>(method, [pattern], access: .public, bodyBytesMax: bodyBytesMax, exchange: { _ in handler }),
            of: ClosureDoor())
    }
}
