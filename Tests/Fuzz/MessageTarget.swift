import Contracts

/// The body of a message of any type. What is accepted means the same when it is encoded again.
enum MessageTarget {
    private static let types: [any Message.Type] = [
        PlaceHold.self, ExtendHold.self, HoldReply.self, ExpireHold.self, VoidHold.self, ReportUsage.self, SettleCharges.self,
        PurchaseFulfilled.self, PurchaseReversed.self, QueryBalance.self, BalanceReply.self, BalanceLow.self, BalanceExhausted.self,
        UserVerified.self, PlanChanged.self, CatalogueChanged.self, APIKeyCreated.self, APIKeyRevoked.self, SessionRevoked.self,
        UserChanged.self, RevocationsHeartbeat.self,
        IntrospectAPIKey.self, SendMail.self,
        APIKeyReply.self, IntrospectSession.self, SessionReply.self, QuerySigningKeys.self, SigningKeysReply.self,
    ]

    static func run(_ input: UnsafeRawBufferPointer) {
        let body = Array(input)
        for type in types { read(type, body) }
    }

    private static func read<Type: Message>(_ type: Type.Type, _ body: [UInt8]) {
        guard let message = try? Type(decoding: body) else { return }
        _ = message.routingKey
        let encoded = message.encoded()
        guard let again = try? Type(decoding: encoded) else {
            return check(false, "\(Type.name) is not accepted again: \(String(decoding: encoded, as: UTF8.self))")
        }
        check(again.encoded() == encoded, "\(Type.name) changes: \(String(decoding: encoded, as: UTF8.self))")
    }
}
