import Testing

/// Names that stand in one place, so that one edit changes them.
struct NameTests {
    @Test func `an SQLSTATE stands in the list of SQLSTATEs only`() throws {
        // The classes of appendix A. A service's own class, such as LG, is its own business.
        let literal = /"(0[0-9A-Z]|2[0-9A-Z]|3[0-9A-Z]|4[0-9A-Z]|5[0-9A-Z]|F0|HV|P0|XX)[0-9A-Z]{3}"/
        #expect(try Self.files(containing: literal) == ["Shared/Postgres/SQLState.swift"])
    }

    @Test(arguments: [
        ("traceparent", "Shared/Telemetry/TraceContext.swift"), ("x-conversation-id", "Shared/Messaging/MessageHeader.swift"),
        ("x-causation-id", "Shared/Messaging/MessageHeader.swift"), ("x-sent-at", "Shared/Messaging/MessageHeader.swift"),
        ("x-delivery-count", "Shared/Messaging/MessageHeader.swift"), ("rpc.reply", "Shared/Contracts/Topology.swift"),
    ])
    func `a header's or an exchange's name is a literal once`(name: String, place: String) throws {
        #expect(try Self.files(containing: Regex("\"\(name)\"")) == [place])
    }

    @Test func `attoseconds are divided in one place`() throws {
        #expect(try Self.files(containing: /attoseconds \//) == ["Shared/Values/Durations.swift"])
    }

    private static func files(containing pattern: Regex<some Any>) throws -> Set<String> {
        Set(try SourceTree.swift(in: "Services", "Shared").filter { $0.lines.contains { $0.contains(pattern) } }.map(\.path))
    }
}
