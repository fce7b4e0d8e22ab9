import Foundation
import JSON
import TestSupport
import Testing

@testable import Billing

struct EventTaskTests {
    private static func task(_ type: String, _ object: String) throws -> EventTask {
        try EventTask(type: type, object: JSONObject(Array(object.utf8)))
    }

    @Test func `an event leads to the object that decides`() throws {
        #expect(
            try Self.task("checkout.session.completed", #"{"id":"cs_1","metadata":{"purchase_id":"p"}}"#) == .session("cs_1")
        )
        #expect(try Self.task("checkout.session.completed", #"{"id":"cs_1","client_reference_id":"u"}"#) == .session("cs_1"))
        #expect(try Self.task("customer.subscription.deleted", #"{"id":"sub_1"}"#) == .subscription("sub_1"))
        #expect(try Self.task("invoice.paid", #"{"id":"in_1"}"#) == .invoice("in_1"))
        #expect(
            try Self.task("invoice.payment_failed", #"{"id":"in_1","parent":{"subscription_details":{"subscription":"sub_1"}}}"#)
                == .subscription("sub_1"))
        #expect(try Self.task("refund.failed", #"{"id":"re_1","payment_intent":"pi_1"}"#) == .returns(payment: "pi_1"))
        #expect(try Self.task("charge.dispute.closed", #"{"id":"dp_1","payment_intent":{"id":"pi_1"}}"#) == .returns(payment: "pi_1"))
        #expect(try Self.task("customer.deleted", #"{"id":"cus_1"}"#) == .customerDeleted("cus_1"))
        #expect(try Self.task("invoice.finalization_failed", #"{"id":"in_1"}"#) == .report("in_1"))
    }

    @Test(arguments: ["checkout.session.completed", "payment_intent.succeeded", "refund.created", "invoice.voided", "product.created"])
    func `an event about a thing of another system leads to nothing`(type: String) throws {
        #expect(try Self.task(type, #"{"id":"x_1","metadata":{},"payment_intent":null,"parent":null}"#) == .nothing)
    }

    @Test func `the setup script subscribes to every type that is handled`() throws {
        let script = try String(contentsOfFile: TestDatabase.packageRoot + "/deploy/stripe/setup.sh", encoding: .utf8)
        for type in EventTask.types { #expect(script.contains(" \(type)") || script.contains("\n\(type)"), "\(type)") }
    }
}
