import JSON

extension Topology {
    /// RabbitMQ's definitions file (`POST /api/definitions`), with `${NAME_AMQP_PASSWORD}` where a password goes.
    ///
    /// Legal on 3.10 and on 4.x: policies and not arguments (but for what no policy can set), `apply-to: queues`, positive delivery
    /// limits, no mirroring.
    package static func definitions() -> [UInt8] {
        var json = JSONWriter(reserving: 16_384)
        json.object { root in
            root.array("vhosts") { $0.object { $0.field("name", virtualHost) } }
            root.array("exchanges") { list in for exchange in exchanges { list.object { $0.write(exchange) } } }
            root.array("queues") { list in
                for queue in queues {
                    let type = queue.kind == .request ? "classic" : "quorum"
                    list.object { $0.write(queue: queue.name, type: type, isSingleActive: queue.isSingleActive) }
                }
                for queue in queues { if let name = queue.deadLetterQueue { list.object { $0.write(queue: name, type: "quorum") } } }
            }
            root.array("bindings") { list in
                for queue in queues { for binding in queue.bindings { list.object { $0.write(binding, to: queue.name) } } }
                for queue in queues {
                    if let name = queue.deadLetterQueue { list.object { $0.write(Binding(deadLetters, queue.name), to: name) } }
                }
            }
            root.array("policies") { list in
                for policy in policies { list.object { $0.write(policy) } }
            }
            root.array("users") { list in
                for user in services { list.object { $0.writeUser(user.name, tags: []) } }
                list.object { $0.writeUser(operatorName, tags: ["monitoring", "impersonator"]) }
            }
            root.array("permissions") { list in
                for user in services { list.object { $0.write(permissionsOf: user) } }
                list.object { $0.writePermissions(operatorName, configure: "^$", write: ".*", read: ".*") }
            }
            root.array("topic_permissions") { list in
                for user in services {
                    for (exchange, keys) in user.commandKeys.sorted(by: { $0.key.name < $1.key.name }) {
                        list.object { permission in
                            permission.field("user", user.name)
                            permission.field("vhost", virtualHost)
                            permission.field("exchange", exchange.name)
                            permission.field("write", keys)
                            permission.field("read", ".*")
                        }
                    }
                }
            }
        }
        return json.bytes
    }

    /// Redrives and inspects: may impersonate a sender so that a dead letter keeps its `user-id`.
    private static let operatorName = "ops"

    struct Policy {
        enum Value {
            case text(String)
            case number(Int64)
        }

        var name: String
        var pattern: String
        var appliesTo = "queues"
        var definition: [(String, Value)]
    }

    private static var policies: [Policy] {
        queues.map(policy(for:)) + [
            Policy(
                name: "dead-letters", pattern: "\\.dlq$",
                definition: [("max-length", .number(500_000)), ("overflow", .text("reject-publish")), ("delivery-limit", .number(50))]),
            Policy(
                name: "instances", pattern: "^[a-z-]+\\.inst\\.",
                definition: [("max-length", .number(20_000)), ("overflow", .text("drop-head")), ("message-ttl", .number(300_000))]),
            Policy(
                name: "replies", pattern: "^[a-z-]+\\.reply\\.",
                definition: [("max-length", .number(20_000)), ("message-ttl", .number(10_000))]),
            Policy(
                name: "events", pattern: "\\.evt$", appliesTo: "exchanges",
                definition: [("alternate-exchange", .text(unrouted.name))]),
        ]
    }

    private static func policy(for queue: Queue) -> Policy {
        let pattern = "^" + escaped(queue.name) + "$"
        var definition: [(String, Policy.Value)] = []
        switch queue.kind {
        case .request:
            definition = [("message-ttl", .number(5_000)), ("max-length", .number(5_000)), ("overflow", .text("reject-publish"))]
        case .money, .events:
            definition = [
                ("dead-letter-exchange", .text(deadLetters.name)), ("dead-letter-routing-key", .text(queue.name)),
                ("overflow", .text("reject-publish")), ("max-length", .number(1_000_000)),
            ]
            if let limit = queue.deliveryLimit { definition.append(("delivery-limit", .number(limit))) }
            if queue.kind == .money { definition.append(("dead-letter-strategy", .text("at-least-once"))) }
        case .unrouted:
            definition = [("max-length", .number(100_000)), ("overflow", .text("drop-head"))]
        }
        return Policy(name: queue.name, pattern: pattern, definition: definition)
    }

    static func escaped(_ name: String) -> String {
        name.map { $0 == "." || $0 == "-" ? "\\\($0)" : String($0) }.joined()
    }
}

extension JSONWriter {
    fileprivate mutating func write(_ exchange: Topology.Exchange) {
        field("name", exchange.name)
        field("vhost", Topology.virtualHost)
        field("type", exchange.kind.rawValue)
        field("durable", true)
        field("auto_delete", false)
        field("internal", false)
        object("arguments") { _ in }
    }

    fileprivate mutating func write(queue name: String, type: String, isSingleActive: Bool = false) {
        field("name", name)
        field("vhost", Topology.virtualHost)
        field("durable", true)
        field("auto_delete", false)
        object("arguments") { arguments in
            arguments.field("x-queue-type", type)
            if isSingleActive { arguments.field("x-single-active-consumer", true) }
        }
    }

    fileprivate mutating func write(_ binding: Binding, to queue: String) {
        field("source", binding.exchange.name)
        field("vhost", Topology.virtualHost)
        field("destination", queue)
        field("destination_type", "queue")
        field("routing_key", binding.routingKey)
        object("arguments") { _ in }
    }

    fileprivate mutating func write(_ policy: Topology.Policy) {
        field("vhost", Topology.virtualHost)
        field("name", policy.name)
        field("pattern", policy.pattern)
        field("apply-to", policy.appliesTo)
        field("priority", 20)
        object("definition") { definition in
            for (name, value) in policy.definition {
                switch value {
                case .text(let text): definition.field(name, text)
                case .number(let number): definition.field(name, number)
                }
            }
        }
    }

    fileprivate mutating func writeUser(_ name: String, tags: [String]) {
        field("name", name)
        array("tags") { array in for tag in tags { array.string(tag) } }
        object("limits") { _ in }
        field("password", "${" + name.uppercased().replacing("-", with: "_") + "_AMQP_PASSWORD}")
    }

    fileprivate mutating func write(permissionsOf user: BrokerUser) {
        let own = "^" + Topology.escaped(user.name) + "\\.(inst|reply)\\."
        let writes = user.writes.map { Topology.escaped($0.name) } + [Topology.escaped(user.name) + "\\.(inst|reply)\\..*"]
        let reads = [Topology.escaped(user.name) + "\\..*"] + user.reads.map { Topology.escaped($0.name) }
        writePermissions(
            user.name, configure: own, write: "^(" + writes.joined(separator: "|") + ")$",
            read: "^(" + reads.joined(separator: "|") + ")$")
    }

    fileprivate mutating func writePermissions(_ user: String, configure: String, write: String, read: String) {
        field("user", user)
        field("vhost", Topology.virtualHost)
        field("configure", configure)
        field("write", write)
        field("read", read)
    }
}

extension String {
    fileprivate func replacing(_ character: Character, with replacement: Character) -> String {
        String(map { $0 == character ? replacement : $0 })
    }
}
