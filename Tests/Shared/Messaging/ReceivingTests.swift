import AMQP
import Contracts
import Messaging
import Telemetry
import Testing
import Values

struct ReceivingTests {
    @Test func `a body that is longer than its type allows is not read`() throws {
        let body = Array(#"{"account_id":"\#(AccountID.make())","padding":""#.utf8)
        let longest = body + [UInt8](repeating: 0x20, count: QueryBalance.bytesMax - body.count - 2) + Array(#""}"#.utf8)
        _ = try QueryBalance(reading: longest)
        do {
            _ = try QueryBalance(reading: longest + [0x20])
            Issue.record("the body was read")
        } catch {
            guard case .tooLarge(let bytes, let max) = error else { throw error }
            #expect((bytes, max) == (longest.count + 1, QueryBalance.bytesMax))
        }
    }

    @Test(arguments: ["", "[]", "{}", #"{"account_id":7}"#, #"{"account_id":"me"}"#])
    func `a body without the members of its type is malformed`(body: String) throws {
        do {
            _ = try QueryBalance(reading: Array(body.utf8))
            Issue.record("the body was read")
        } catch {
            guard case .content = error else { throw error }
        }
    }

    @Test func `a message without a conversation begins one of its own id`() throws {
        let message = OutgoingMessage(QueryBalance(accountID: .make()), from: "test")
        let envelope = try #require(Envelope(message.properties))
        #expect(envelope.conversationID.rawValue == envelope.messageID.rawValue)
        #expect(envelope.type == QueryBalance.name)
        #expect(envelope.trace == nil)
        #expect(message.mandatory && message.properties.persistent)
    }

    @Test func `a message carries its conversation, and a span of its own in the trace`() throws {
        let (id, conversation, trace) = (MessageID.make(), ConversationID.make(), TraceContext.new())
        let message = OutgoingMessage(QueryBalance(accountID: .make()), id: id, conversation: conversation, trace: trace, from: "test")
        let envelope = try #require(Envelope(message.properties))
        #expect((envelope.messageID, envelope.conversationID) == (id, conversation))
        #expect(envelope.trace?.traceIDText == trace.traceIDText)
        #expect(envelope.trace?.spanID != trace.spanID)
    }
}
