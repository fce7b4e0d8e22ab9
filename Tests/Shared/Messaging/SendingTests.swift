import AMQP
import Contracts
import EventLoop
import Messaging
import Telemetry
import TestSupport
import Testing
import Values

struct SendingTests {
    private let account = AccountID.make()
    private let log = Logger(service: "test", level: .error)

    @Test func `a question is answered, in the trace and the conversation of its sender`() async throws {
        let (trace, conversation) = (TraceContext.new(), ConversationID.make())
        let reply = BalanceReply(accountID: account, posted: Credits(nano: 5), held: .zero, available: Credits(nano: 5))
        try await withServer { server, client in
            async let asked = client.ask(
                QueryBalance(accountID: account), for: BalanceReply.self, within: .seconds(30), conversation: conversation, trace: trace)
            let question = try #require(try await server.next(max: 1).first)
            #expect(try question.decode(as: QueryBalance.self).accountID == account)
            #expect(question.trace?.traceIDText == trace.traceIDText)
            #expect(question.trace?.spanID != trace.spanID)
            #expect(question.conversation == conversation)
            server.answer(reply, to: question)
            let answer = try await asked
            #expect(answer.available == Credits(nano: 5))
        }
    }

    @Test func `an answer of another type is refused`() async throws {
        try await withServer { server, client in
            async let asked = client.ask(QueryBalance(accountID: account), for: BalanceReply.self, within: .seconds(30))
            let question = try #require(try await server.next(max: 1).first)
            #expect(question.trace == nil)
            server.answer(SigningKeysReply(keys: [], revokedSessions: [], revokedAPIKeys: [], readAt: .now()), to: question)
            do {
                _ = try await asked
                Issue.record("the answer was read")
            } catch Malformed.unknownType(let type) {
                #expect(type == SigningKeysReply.name)
            }
        }
    }

    private func withServer(_ body: (AMQPConsumer, RPCClient) async throws -> Void) async throws {
        try await TestBroker.with { broker in
            try broker.declareExchange(QueryBalance.exchange.name, type: "direct")
            try broker.declareQueue("questions")
            try broker.bind(queue: "questions", exchange: QueryBalance.exchange.name, routingKey: "balance")
            let amqp = try AMQPConfiguration(url: broker.url, connectionName: "test:ask")
            let server = AMQPConsumer(amqp, source: .queue("questions"), prefetch: 10, log: log)
            let client = RPCClient(
                amqp, service: "test", repliesThrough: Topology.rpcReply.name, answeredBy: amqp.user, log: log)
            async let serving: Void = server.run()
            async let asking: Void = client.run()
            try #require(await server.connected(within: .seconds(30)))
            try #require(await client.connected(within: .seconds(30)))
            try await body(server, client)
            await client.stop(within: .milliseconds(500))
            await server.stop(within: .milliseconds(500))
            _ = await (serving, asking)
        }
    }
}
