package import JSON
package import Values

/// Asks auth to mail a user, in the user's language. A command to auth.
///
/// auth sends no mail to a user who is unknown or deactivated, has not confirmed the address, or has
/// switched such mails off.
package struct SendMail: Message, Hashable {
    package static let name = "mail.send.v1"
    package static let exchange = Topology.authCommands
    package var routingKey: String { "mail" }
    package static let bytesMax = 4 << 10

    package var userID: UserID
    package var mail: RequestedMail

    package init(userID: UserID, mail: RequestedMail) { (self.userID, self.mail) = (userID, mail) }

    package func encode(into json: inout JSONWriter) {
        json.field("user_id", userID)
        json.field("template", mail.template.rawValue)
        json.object("facts", mail.encodeFacts)
    }

    package init(from json: JSONObject) throws {
        userID = try json.id("user_id")
        mail = try RequestedMail(json.oneOf("template"), facts: json.object("facts"))
    }
}

/// A template of a mail, with the facts that its text states.
package enum RequestedMail: Hashable, Sendable {
    /// The balance fell through the level that the account has.
    case lowBalance(balance: Credits, level: Credits)
    /// The balance pays no call, or a call was refused that needs more.
    case balanceExhausted(balance: Credits)

    package enum Template: String, CaseIterable, Sendable {
        case lowBalance = "low_balance"
        case balanceExhausted = "balance_exhausted"
    }

    package var template: Template {
        switch self {
        case .lowBalance: .lowBalance
        case .balanceExhausted: .balanceExhausted
        }
    }

    /// Writes the members of `facts`. Amounts are settled credits, running calls not subtracted.
    package func encodeFacts(into json: inout JSONWriter) {
        switch self {
        case .lowBalance(let balance, let level):
            json.field("balance", nano: balance)
            json.field("level", nano: level)
        case .balanceExhausted(let balance):
            json.field("balance", nano: balance)
        }
    }

    /// Reads the members of `facts`.
    package init(_ template: Template, facts: JSONObject) throws {
        switch template {
        case .lowBalance: self = .lowBalance(balance: try facts.nanoCredits("balance"), level: try facts.nanoCredits("level"))
        case .balanceExhausted: self = .balanceExhausted(balance: try facts.nanoCredits("balance"))
        }
    }
}
