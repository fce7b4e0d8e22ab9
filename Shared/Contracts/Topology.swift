/// The whole broker on one screen: what there is, who may write, who reads. `deploy/rabbitmq/definitions.json` is generated from it.
///
/// Services declare nothing durable; a replica declares only its own exclusive `<service>.inst.*` and `<service>.reply.*` queues.
/// Commands are published `mandatory` and have no catch-all binding, so that a mistyped key is returned and not swallowed; events
/// without a bound queue end in `ops.unrouted`.
package enum Topology {
    package static let virtualHost = "gw"

    // MARK: Exchanges

    /// Holds: asked by the proxies, answered by the ledger.
    package static let ledgerRPC = Exchange(name: "ledger.rpc", kind: .direct)
    /// Read-only questions about balances and charges.
    package static let ledgerQueries = Exchange(name: "ledger.query", kind: .direct)
    /// Settlements, voids, usage reports (proxies) and purchases (billing): durable commands.
    package static let ledgerCommands = Exchange(name: "ledger.cmd", kind: .topic)
    /// API keys and signing keys: asked by every service, answered by auth.
    package static let authRPC = Exchange(name: "auth.rpc", kind: .direct)
    /// Mails to users: a durable command of other services.
    package static let authCommands = Exchange(name: "auth.cmd", kind: .direct)
    /// Where every RPC server answers; the routing key is the asker's exclusive queue.
    package static let rpcReply = Exchange(name: "rpc.reply", kind: .direct)
    package static let authEvents = Exchange(name: "auth.evt", kind: .topic)
    package static let ledgerEvents = Exchange(name: "ledger.evt", kind: .topic)
    package static let billingEvents = Exchange(name: "billing.evt", kind: .topic)
    /// The broker's own safety net: messages that crash their consumer or cannot be parsed.
    package static let deadLetters = Exchange(name: "dlx", kind: .direct)
    /// Events that no queue is bound to.
    package static let unrouted = Exchange(name: "unrouted", kind: .fanout)

    package static let exchanges = [
        ledgerRPC, ledgerQueries, ledgerCommands, authRPC, authCommands, rpcReply, authEvents, ledgerEvents, billingEvents, deadLetters,
        unrouted,
    ]

    // MARK: Queues

    // One ledger at a time consumes each of the three queues that change accounts. Messages then
    // keep their order, and ledgers seldom meet on the row of an account.
    package static let ledgerHolds = Queue(
        name: "ledger.rpc.hold", kind: .request, isSingleActive: true, bindings: [Binding(ledgerRPC, "hold")])
    package static let ledgerCharges = Queue(
        name: "ledger.cmd.charge", kind: .money, isSingleActive: true,
        bindings: [Binding(ledgerCommands, "charge.*.*"), Binding(ledgerCommands, "hold.*.*")])
    package static let ledgerPurchases = Queue(
        name: "ledger.cmd.billing", kind: .money, isSingleActive: true, bindings: [Binding(ledgerCommands, "purchase.#")])
    package static let ledgerQuestions = Queue(
        name: "ledger.query.requests", kind: .request,
        bindings: [Binding(ledgerQueries, "balance"), Binding(ledgerQueries, "charge")])
    package static let authRequests = Queue(
        name: "auth.rpc.requests", kind: .request, bindings: [Binding(authRPC, "introspect"), Binding(authRPC, "signing-keys")])
    package static let authMails = Queue(name: "auth.cmd.mail", kind: .events, bindings: [Binding(authCommands, "mail")])
    package static let billingUsers = Queue(name: "billing.sub.auth", kind: .events, bindings: [Binding(authEvents, "user.verified.#")])
    package static let authPlans = Queue(name: "auth.sub.billing", kind: .events, bindings: [Binding(billingEvents, "plan.changed.#")])
    package static let proxyOffers = Queue(
        name: "llm-proxy.sub.billing", kind: .events, bindings: [Binding(billingEvents, "catalogue.changed.#")])
    /// Read by people: an event here means that a binding is missing.
    package static let opsUnrouted = Queue(name: "ops.unrouted", kind: .unrouted, bindings: [Binding(unrouted, "")])

    package static let queues = [
        ledgerHolds, ledgerCharges, ledgerPurchases, ledgerQuestions, authRequests, authMails, authPlans, billingUsers, proxyOffers,
        opsUnrouted,
    ]

    /// The bindings of each replica's exclusive queue: the events that every replica must get. Each key
    /// is a prefix and `.#`.
    package static let revocations = [
        Binding(authEvents, "apikey.created.#"), Binding(authEvents, "apikey.revoked.#"), Binding(authEvents, "session.revoked.#"),
        Binding(authEvents, "user.changed.#"),
        Binding(authEvents, "revocations.heartbeat.#"),
    ]

    /// Returns whether a message goes to every replica. Its publisher numbers it, so that a replica
    /// notices a lost one.
    package static func isRevocation(exchange: String, routingKey: String) -> Bool {
        exchange == authEvents.name && revocations.contains { routingKey.hasPrefix($0.routingKey.dropLast()) }
    }

    // MARK: Who may do what

    package static let services = [
        BrokerUser(
            name: "auth", writes: [authEvents, ledgerQueries, rpcReply], reads: [rpcReply, authEvents]),
        BrokerUser(
            name: "ledger", writes: [ledgerEvents, ledgerCommands, rpcReply, authRPC, authCommands], reads: [rpcReply, authEvents],
            commandKeys: [ledgerCommands: "^hold\\.expire\\."]),
        BrokerUser(
            name: "llm-proxy", writes: [ledgerRPC, ledgerCommands, ledgerQueries, authRPC],
            reads: [rpcReply, authEvents, ledgerEvents, billingEvents],
            commandKeys: [ledgerCommands: "^(charge|hold\\.(void|report))\\."]),
        BrokerUser(
            name: "billing", writes: [ledgerCommands, ledgerQueries, billingEvents, authRPC], reads: [rpcReply, authEvents, ledgerEvents],
            commandKeys: [ledgerCommands: "^purchase\\."]),
    ]
}

extension Topology {
    package struct Exchange: Hashable, Sendable {
        package enum Kind: String, Sendable { case direct, topic, fanout }

        package let name: String
        package let kind: Kind
    }
}

package struct Binding: Hashable, Sendable {
    package let exchange: Topology.Exchange
    package let routingKey: String

    package init(_ exchange: Topology.Exchange, _ routingKey: String) {
        self.exchange = exchange
        self.routingKey = routingKey
    }
}

package struct Queue: Hashable, Sendable {
    package enum Kind: Sendable {
        /// Requests that wait seconds at most: classic, unmirrored, refuses when full so that the asker sheds load at once.
        case request
        /// Money: quorum, refuses when full, dead-letters at least once.
        case money
        /// Events and mails: quorum, refuses when full (the sender's outbox keeps them), dead-letters at most once.
        case events
        /// Kept for people, oldest dropped first.
        case unrouted
    }

    package let name: String
    package let kind: Kind
    /// If true, the first of several consumers gets everything. When it leaves, the next one continues with what it left
    /// unsettled.
    package let isSingleActive: Bool
    package let bindings: [Binding]

    package init(name: String, kind: Kind, isSingleActive: Bool = false, bindings: [Binding]) {
        self.name = name
        self.kind = kind
        self.isSingleActive = isSingleActive
        self.bindings = bindings
    }

    /// Where the broker puts what this queue's consumer could not even parse, or crashed on ``deliveryLimit`` times.
    package var deadLetterQueue: String? { deliveryLimit == nil ? nil : name + ".dlq" }

    /// A crash counts as a delivery of every message that was unsettled. The limit leaves the
    /// ledger time to find the poison message (`CommandConsumer` does this), and an operator time
    /// to react. With a restart every five minutes, 50 crashes take four hours.
    package var deliveryLimit: Int64? {
        switch kind {
        case .money: 50
        case .events: 20
        case .request, .unrouted: nil
        }
    }
}

/// A service's account at the broker. It reads its own queues (`<name>.*`) and the exchanges it binds to.
package struct BrokerUser: Sendable {
    package let name: String
    package let writes: [Topology.Exchange]
    package let reads: [Topology.Exchange]
    /// Routing keys it may use on a shared topic exchange; a key outside is refused with 403.
    package var commandKeys: [Topology.Exchange: String] = [:]
}
