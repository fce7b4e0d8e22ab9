import Crypto
import Foundation
import JSON
import TestSupport
import Testing
import Text
import Values

@testable import Billing

struct WebhookSignatureTests {
    private struct Vector: Decodable {
        var name: String
        var body_hex: String?
        var header: String?
        var secrets: [String]
        var now: Int64
        var sdk: String
    }

    private static func vectors() throws -> [Vector] {
        try JSONDecoder().decode(
            [Vector].self,
            from: Data(contentsOf: URL(filePath: TestDatabase.packageRoot + "/Tests/Services/billing/Stripe/signature-vectors.json")))
    }

    @Test func `the vectors are decided as Stripe's own library decides them, and signatures of the future are refused too`() throws {
        let vectors = try Self.vectors()
        #expect(vectors.count == 24)
        for vector in vectors {
            let body = try #require(Hex.bytes(vector.body_hex ?? ""))
            var accepted = true
            do throws(WebhookSignature.Flaw) {
                try WebhookSignature.check(
                    vector.header ?? "", body: body, secrets: vector.secrets.map { Array($0.utf8) },
                    now: Instant(microseconds: vector.now * 1_000_000))
            } catch {
                accepted = false
            }
            // The body of this one is refused as an event: it is no JSON.
            let isSigned = vector.sdk == "accept" || vector.name == "non_utf8_body"
            #expect(accepted == (isSigned && !["future_301", "future_1_year"].contains(vector.name)), "\(vector.name)")
        }
    }

    @Test(arguments: ["t=1,t=1,v1=00", "t", "t=,v1=00", "t=1800000000", "t=1800000000,v1=", "=,=", ",", "t=99999999999999999999,v1=00"])
    func `a header of another form is malformed`(header: String) {
        #expect(throws: WebhookSignature.Flaw.malformed) {
            try WebhookSignature.check(
                header, body: [], secrets: [Array("whsec_x".utf8)], now: Instant(microseconds: 1_800_000_000_000_000))
        }
    }

    @Test func `a header with too many signatures is refused unread`() {
        let header = "t=1800000000" + String(repeating: ",v1=" + String(repeating: "ab", count: 32), count: 100)
        #expect(throws: WebhookSignature.Flaw.malformed) {
            try WebhookSignature.check(
                header, body: [], secrets: [Array("whsec_x".utf8)], now: Instant(microseconds: 1_800_000_000_000_000))
        }
    }
}
