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
            let queues = Topology.queues.filter { queue in
                queue.bindings.contains { $0.exchange == type.exchange && Self.matches($0.routingKey, type.routingKey) }
            }
            #expect(queues.count == 1, "\(type.name) reaches \(queues.map(\.name))")
        }
    }

    @Test func `no command exchange has a catch-all binding, which would make mandatory useless`() {
        for binding in Topology.queues.flatMap(\.bindings) where binding.exchange != Topology.unrouted {
            #expect(binding.routingKey != "#" && !binding.routingKey.isEmpty)
        }
    }

    private static func matches(_ pattern: String, _ key: String) -> Bool {
        pattern.hasSuffix(".#") ? key.hasPrefix(pattern.dropLast(1)) || key == pattern.dropLast(2) : pattern == key
    }

    /// One member a line, keys in the order written, so that a change shows as a small diff.
    private static func pretty(_ json: [UInt8]) throws -> Data {
        let object = try JSONSerialization.jsonObject(with: Data(json))
        return try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
            + Data("\n".utf8)
    }
}
