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

    @Test func `every message goes to a declared exchange, and every durable command and request finds a queue`() {
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

    @Test func `what the ledger shards reaches the queue of its account's shard, whichever that is`() {
        var random = SplitMix(state: 7)
        var seen: Set<Int> = []
        for _ in 0..<200 {
            let account = AccountID(rawValue: UUIDv7.make(milliseconds: 1_763_596_800_000, using: &random))
            seen.insert(account.shard)
            let (hold, extend) = (MessageTests.hold(account), MessageTests.extend(account))
            #expect(Self.queues(PlaceHold.exchange, hold.routingKey) == ["ledger.rpc.hold.\(account.shard)"])
            #expect(hold.routingKey == extend.routingKey)
            let charge = MessageTests.charge
            let durable: [any Message] = [
                SettleCharge(chargeID: charge, accountID: account, amount: .zero, call: MessageTests.callFacts),
                VoidHold(chargeID: charge, accountID: account, reason: ""),
                ReportUsage(chargeID: charge, accountID: account, usedSoFar: .zero, timeToLiveMilliseconds: 1),
            ]
            for message in durable {
                #expect(Self.queues(type(of: message).exchange, message.routingKey) == ["ledger.cmd.charge.\(account.shard)"])
            }
        }
        #expect(seen == Set(0..<Topology.shards))
    }

    @Test func `a command without its shard, or for one that does not exist, reaches nobody`() {
        for key in ["charge.settle.v1", "charge.settle.v1.\(Topology.shards)", "hold.void.v1", "charge.settle.0", "hold.void.v1.0.0"] {
            #expect(Self.queues(Topology.ledgerCommands, key) == [], "\(key)")
        }
        for key in ["hold", "hold.\(Topology.shards)"] { #expect(Self.queues(Topology.ledgerRPC, key) == [], "\(key)") }
    }

    @Test func `one policy and one dead-letter queue serve all shards of a flow, and nothing else`() throws {
        let json = try #require(try JSONSerialization.jsonObject(with: Data(Topology.definitions())) as? [String: [[String: Any]]])
        let policies = try #require(json["policies"])
        for queue in Topology.queues {
            var matching: [String?] = []
            for policy in policies where policy["apply-to"] as? String == "queues" {
                let pattern = try Regex(#require(policy["pattern"] as? String))
                if try pattern.firstMatch(in: queue.name) != nil { matching.append(policy["name"] as? String) }
            }
            #expect(matching == [queue.flow], "\(queue.name)")
        }
        let names = try #require(json["queues"]).compactMap { $0["name"] as? String }
        #expect(names.filter { $0.hasSuffix(".dlq") } == ["ledger.cmd.charge.dlq", "ledger.cmd.billing.dlq", "billing.sub.auth.dlq"])
    }

    @Test func `every queue that changes accounts feeds one replica at a time`() {
        let commands = Topology.queues.filter {
            $0.bindings.contains { [Topology.ledgerRPC, Topology.ledgerCommands].contains($0.exchange) }
        }
        #expect(commands.count == 2 * Topology.shards + 1)
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
