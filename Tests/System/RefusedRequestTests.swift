import Foundation
import TestSupport
import Testing

extension SystemTests {
    /// Each service's own port refuses what the RFCs refuse, whatever stands in front of it.
    struct RefusedRequestTests {
        /// A route that accepts a body, with the fields that it needs. Billing has none yet.
        private static func table(
            of service: Stack.Component, token: String
        ) -> (requests: RefusedRequests, hasRoute: Bool) {
            // A proxy refuses an unknown caller before it looks at the framing of the body.
            let fields = "Authorization: Bearer \(token)\r\n"
            return switch service {
            case .auth: (RefusedRequests(bodyRoute: "POST /api/auth/login"), true)
            case .ledger: (RefusedRequests(bodyRoute: "POST /api/credits/deduct", bodyFields: fields), true)
            case .billing: (RefusedRequests(), false)
            default: (RefusedRequests(bodyRoute: "POST /v1/chat/completions", bodyFields: fields), true)
            }
        }

        @Test(arguments: [Stack.Component.auth, .ledger, .billing, .proxy1, .proxy2])
        func `a service refuses every request of the table and ends the connection`(service: Stack.Component) async throws {
            try await Gateway.run { gateway in
                let port = try #require(URL(string: try gateway.stack.url(of: service))?.port)
                let (requests, hasRoute) = Self.table(of: service, token: try await gateway.adminToken())
                for row in requests.rows where hasRoute || !row.needsRoute {
                    let client = RawClient(port: port)
                    client.send(row.bytes)
                    let end = client.readToEnd()
                    #expect(client.statuses == [row.status] && end == .closed, "\(row.name) (RFC \(row.rule)): \(client.statuses), \(end)")
                }
            }
        }
    }
}
