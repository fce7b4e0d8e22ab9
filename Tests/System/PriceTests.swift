import Foundation
import HTTPClient
import HTTPWire
import JSON
import TestSupport
import Testing

extension SystemTests {
    /// Prices, from the administrator to the proxies.
    struct PriceTests {
        @Test func `a price of an administrator is in force at both proxies`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.request(
                    "PUT", "/api/admin/pricing", try await gateway.adminToken(),
                    #"{"model":"sim-second","provider":"simulator","units":[{"unit":"input","usd_per_million":3},{"unit":"output","usd_per_million":9}]}"#
                )
                try gateway.expect(answer, 200)
                let version = try JSONObject(answer.body).object("price").integer("version")
                for proxy in [Stack.Component.proxy1, .proxy2] {
                    let url = try gateway.stack.url(of: proxy) + "/v1/models/sim-second"
                    try await until("\(proxy.rawValue) sells at the price") {
                        let model = try await gateway.client.request(
                            ClientRequest("GET", url, headers: [(name: "authorization", value: "Bearer \(account.token)")]))
                        return try JSONObject(model.body).object("pricing").integer("price_version") == version
                    }
                }
            }
        }

        @Test func `the margin check has what billing sells, and no model of the simulator loses money`() async throws {
            try await Gateway.run { gateway in
                let token = try await gateway.adminToken()
                var margins: [JSONObject] = []
                try await until("billing has announced what it sells") {
                    let answer = try await gateway.get("/api/admin/models", token: token)
                    margins = try JSONObject(answer.body).array("margins").compactMap(\.object)
                    return !margins.isEmpty
                }
                #expect(Set(try margins.map { try $0.string("offer") }).isSuperset(of: ["package:enterprise", "plan:enterprise:month"]))
                #expect(try margins.allSatisfy { try !$0.bool("is_negative") })
            }
        }
    }
}
