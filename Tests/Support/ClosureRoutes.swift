package import HTTP
package import HTTPWire

/// A door without rows of its own. Tests add routes to a router as closures.
package struct ClosureDoor: HTTPDoor {
    package typealias Caller = Never

    package static let table: [Route<ClosureDoor>] = []
}

/// A door like ``ClosureDoor`` that admits every credential.
package struct OpenDoor: HTTPDoor {
    package static let table: [Route<OpenDoor>] = []

    package var gate: CallerGate<Void> { CallerGate(known: { _, _ in () }, check: { _, _, _ in }) }
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

    /// Adds a route whose handler answers on the exchange. Requests need some credential.
    package mutating func onExchange(
        _ method: HTTPWire.Method, _ pattern: String, bodyBytesMax: Int = .max,
        _ handler: @escaping @Sendable (Exchange, RequestContext) async throws -> Void
    ) {
        add(
            Route<OpenDoor>(
                method, [pattern], access: .credential(), bodyBytesMax: bodyBytesMax,
                exchange: { _ in { exchange, context, _ in try await handler(exchange, context) } }),
            of: OpenDoor())
    }
}
