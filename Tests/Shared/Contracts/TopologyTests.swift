import Foundation
import Testing

@testable import Contracts

struct TopologyTests {
    /// To renew the file after a change of `Topology.swift`: `UPDATE_GOLDENS=1 make test`.
    @Test func `the definitions file is what the topology generates`() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../deploy/rabbitmq/definitions.json").standardizedFileURL
        let generated = try Self.pretty(Topology.definitions())
        if ProcessInfo.processInfo.environment["UPDATE_GOLDENS"] != nil { try generated.write(to: file) }
        #expect(try String(contentsOf: file, encoding: .utf8) == String(decoding: generated, as: UTF8.self))
    }

    @Test func `every message has a declared exchange, and every durable command and request a queue`() {
        for (message, _) in MessageTests.goldens {
            let type = type(of: message)
            #expect(Topology.exchanges.contains(type.exchange), "\(type.name)")
            guard type.exchange != Topology.rpcReply, type.exchange.kind != .topic || type.exchange == Topology.ledgerCommands else {
                continue
            }
            let queues = Self.queues(type.exchange, message.routingKey)
            #expect(queues.count == 1, "\(message.routingKey) reaches \(queues)")
        }
    }

    @Test func `a mistyped command reaches no queue`() {
        for key in ["charge.settle", "charge.settle.v2.0", "holds.void.v1", "settle"] {
            #expect(Self.queues(Topology.ledgerCommands, key) == [], "\(key)")
        }
        #expect(Self.queues(Topology.ledgerRPC, "holds") == [])
        #expect(Self.queues(Topology.authCommands, SendMail.name) == [])
    }

    @Test func `only the ledger may ask for expiries`() throws {
        for user in Topology.services where user.writes.contains(Topology.ledgerCommands) {
            let keys = try Regex(#require(user.commandKeys[Topology.ledgerCommands]))
            let mayExpire = try keys.firstMatch(in: ExpireHold.name) != nil
            #expect(mayExpire == (user.name == "ledger"), "\(user.name)")
        }
    }

    @Test func `each queue has one policy of its own, and a queue of money or events has its dead letters`() throws {
        let json = try #require(try JSONSerialization.jsonObject(with: Data(Topology.definitions())) as? [String: [[String: Any]]])
        let policies = try #require(json["policies"])
        for queue in Topology.queues {
            var matching: [String?] = []
            for policy in policies where policy["apply-to"] as? String == "queues" {
                let pattern = try Regex(#require(policy["pattern"] as? String))
                if try pattern.firstMatch(in: queue.name) != nil { matching.append(policy["name"] as? String) }
            }
            #expect(matching == [queue.name], "\(queue.name)")
        }
        let names = try #require(json["queues"]).compactMap { $0["name"] as? String }
        #expect(
            names.filter { $0.hasSuffix(".dlq") } == [
                "ledger.cmd.charge.dlq", "ledger.cmd.billing.dlq", "auth.cmd.mail.dlq", "auth.sub.billing.dlq",
                "billing.sub.auth.dlq", "llm-proxy.sub.billing.dlq",
            ])
    }

    @Test func `every queue that changes accounts feeds one replica at a time`() {
        let commands = Topology.queues.filter {
            $0.bindings.contains { [Topology.ledgerRPC, Topology.ledgerCommands].contains($0.exchange) }
        }
        #expect(commands.count == 3)
        #expect(commands.allSatisfy { $0.isSingleActive })
    }

    @Test func `no command exchange has a catch-all binding, which would make mandatory useless`() {
        for binding in Topology.queues.flatMap(\.bindings) where binding.exchange != Topology.unrouted {
            #expect(binding.routingKey != "#" && !binding.routingKey.isEmpty)
        }
    }

    private static func queues(_ exchange: Topology.Exchange, _ key: String) -> [String] {
        Topology.queues.filter { queue in queue.bindings.contains { $0.exchange == exchange && matches($0.routingKey, key) } }.map(\.name)
    }

    /// A topic's pattern, as far as ours go: `*` is one word, `.#` at the end any number.
    private static func matches(_ pattern: String, _ key: String) -> Bool {
        if pattern.hasSuffix(".#") { return key.hasPrefix(pattern.dropLast(1)) || key == pattern.dropLast(2) }
        let (pattern, words) = (pattern.split(separator: "."), key.split(separator: "."))
        return pattern.count == words.count && zip(pattern, words).allSatisfy { $0 == "*" || $0 == $1 }
    }

    /// One member a line, keys in the order written, so that a change shows as a small diff.
    private static func pretty(_ json: [UInt8]) throws -> Data {
        let object = try JSONSerialization.jsonObject(with: Data(json))
        return try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
            + Data("\n".utf8)
    }
}
