import EventLoop
package import Testing

/// Asks again until the answer is yes. The limit is only for a test that would never end.
/// - Throws: ``Unmet`` after `limit`, recorded as an issue.
package func until(
    _ what: Comment? = nil, within limit: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = MonotonicInstant.current() + limit
    while try await !condition() {
        guard MonotonicInstant.current() < deadline else {
            Issue.record(what ?? "the condition", sourceLocation: sourceLocation)
            throw Unmet(what: what)
        }
        try await ContinuousClock().sleep(for: .milliseconds(2))
    }
}

/// A condition that did not come.
package struct Unmet: Error { let what: Comment? }
