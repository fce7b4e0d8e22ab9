import AMQP
import TestSupport
import Testing

struct RPCClientTests {
    @Test func `sixty-four calls at once each get their own answer`() async throws {
        try await withEcho { broker, client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<64 {
                    group.addTask {
                        for round in 0..<20 {
                            let reply = try await client.call(
                                exchange: "ledger.rpc", routingKey: "hold", type: "hold.v1", body: Array("\(index)/\(round)".utf8),
                                messageID: "\(index)-\(round)", within: .seconds(30))
                            #expect(String(decoding: reply.body, as: UTF8.self) == "\(index)/\(round)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `two calls with one message id get an answer each`() async throws {
        try await withEcho { broker, client in
            async let first = client.call(
                exchange: "ledger.rpc", routingKey: "hold", type: "hold.v1", body: [1], messageID: "same", within: .seconds(30))
            async let second = client.call(
                exchange: "ledger.rpc", routingKey: "hold", type: "hold.v1", body: [2], messageID: "same", within: .seconds(30))
            let bodies = try await [first.body, second.body]
            #expect(bodies == [[1], [2]])
        }
    }

    @Test func `a call without a bound queue is unroutable, not timed out`() async throws {
        try await TestBroker.with { broker in
            try broker.declareExchange("ledger.rpc", type: "direct")
            try await withRPCClient(broker) { client in
                await #expect(throws: RPCError.unroutable(code: 312, text: "NO_ROUTE")) { try await hold(client, within: .seconds(60)) }
            }
        }
    }

    @Test func `a full queue refuses a call before its deadline`() async throws {
        try await TestBroker.with { broker in
            try declareHolds(broker, arguments: #""x-max-length":1,"x-overflow":"reject-publish""#)
            try await withPublisher(broker) { publisher in
                try await publisher.publish(message("in the way", to: "hold", exchange: "ledger.rpc"), within: .seconds(30))
            }
            try await withRPCClient(broker) { client in
                await #expect(throws: RPCError.nacked) { try await hold(client, within: .seconds(60)) }
            }
        }
    }

    @Test func `a reply after the deadline is counted and dropped`() async throws {
        try await TestBroker.with { broker in
            try declareHolds(broker)
            try await withRPCClient(broker) { client in
                let before = client.lateReplies
                let call = Task { await outcome(client, within: .seconds(1)) }
                try await withConsumer(broker, .queue("ledger.rpc.hold")) { server in
                    let request = try await gather(1, from: server)[0]
                    let failure = await call.value
                    #expect(failure == .timedOut)
                    answer(request, from: server)
                    // Answers of one channel arrive in their order.
                    async let next = hold(client, within: .seconds(30))
                    answer(try await gather(1, from: server)[0], from: server)
                    _ = try await next
                }
                #expect(client.lateReplies == before + 1)
            }
        }
    }

    @Test func `an answer to a closed requester affects no other`() async throws {
        try await TestBroker.with { broker in
            try declareHolds(broker)
            try await withConsumer(broker, .queue("ledger.rpc.hold")) { server in
                let request = try await withRPCClient(broker) { client in
                    let call = Task { await outcome(client, within: .seconds(1)) }
                    let request = try await gather(1, from: server)[0]
                    let failure = await call.value
                    #expect(failure == .timedOut)
                    return request
                }
                answer(request, from: server)
                try await withRPCClient(broker) { client in
                    async let next = hold(client, within: .seconds(30))
                    let asked = try await gather(1, from: server)[0]
                    #expect(asked.connectionEpoch == request.connectionEpoch)
                    answer(asked, from: server)
                    _ = try await next
                }
            }
        }
    }

    @Test func `a reply of another user is no answer`() async throws {
        try await TestBroker.with { broker in
            try declareHolds(broker)
            try await withConsumer(broker, .queue("ledger.rpc.hold")) { server in
                try await withRPCClient(broker, answeredBy: "auth") { client in
                    let before = client.lateReplies
                    let call = Task { await outcome(client, within: .seconds(2)) }
                    answer(try await gather(1, from: server)[0], from: server)
                    let failure = await call.value
                    #expect(failure == .timedOut)
                    #expect(client.lateReplies == before)
                }
            }
        }
    }

    /// A request without an acknowledgement goes to another server, which may decide otherwise.
    @Test func `an answer without its acknowledgement is not used`() async throws {
        try await TestBroker.with { broker in
            try declareHolds(broker)
            try await withConsumer(broker, .queue("ledger.rpc.hold")) { server in
                try await withRPCClient(broker) { client in
                    async let reply = hold(client, within: .seconds(20))
                    let request = try await gather(1, from: server)[0]
                    server.setSuspended(true)
                    while server.isOut(request) { await Task.yield() }
                    answer(request, from: server, body: [1])
                    server.setSuspended(false)
                    let again = try await gather(1, from: server)[0]
                    answer(again, from: server, body: [2])
                    let body = try await reply.body
                    #expect(body == [2])
                }
            }
        }
    }

    @Test func `a call before there is a connection, and after the end, was never sent`() async throws {
        try await TestBroker.with { broker in
            let client = RPCClient(
                try AMQPConfiguration(url: broker.url, connectionName: "test:rpc"), service: "test", answeredBy: "ledger", log: log)
            var failure = await outcome(client, within: .seconds(60))
            #expect(failure == .notSent(.disconnected))
            #expect(failure?.neverArrived == true)
            await client.stop()
            failure = await outcome(client, within: .seconds(60))
            #expect(failure == .notSent(.stopped))
        }
    }

    @Test func `a call that may have been carried out is never reported as not sent`() {
        let certain: [RPCError] = [
            .notSent(.disconnected), .notSent(.blocked), .notSent(.timedOut), .notSent(.stopped), .saturated, .nacked,
            .unroutable(code: 312, text: "NO_ROUTE"),
        ]
        #expect(certain.allSatisfy { $0.neverArrived })
        let open: [RPCError] = [.timedOut, .disconnected, .blocked, .closed(code: 404, text: ""), .stopped]
        #expect(!open.contains { $0.neverArrived })
    }

    @Test func `running calls fail when the connection is lost, and later ones succeed`() async throws {
        try await withEcho { broker, client in
            try broker.deleteQueue("ledger.rpc.hold")
            try broker.declareQueue("ledger.rpc.hold.silent")
            try broker.bind(queue: "ledger.rpc.hold.silent", exchange: "ledger.rpc", routingKey: "hold")
            // Immediate: asked on the connection that is about to go, not on the one after it.
            let call = Task.immediate { await outcome(client, within: .seconds(60)) }
            try await broker.closeConnections(until: { !client.isConnected })
            let failure = await call.value
            #expect(failure == .disconnected)
            #expect(await client.connected(within: .seconds(10)))
            try broker.deleteQueue("ledger.rpc.hold.silent")
            try declareHolds(broker)
            try await hold(client, within: .seconds(20))
        }
    }
}

func declareHolds(_ broker: TestBroker, arguments: String = "") throws {
    try broker.declareExchange("ledger.rpc", type: "direct")
    try broker.declareQueue("ledger.rpc.hold", arguments: arguments)
    try broker.bind(queue: "ledger.rpc.hold", exchange: "ledger.rpc", routingKey: "hold")
}

@discardableResult
func hold(_ client: RPCClient, body: [UInt8] = [], within limit: Duration) async throws(RPCError) -> Delivery {
    try await client.call(
        exchange: "ledger.rpc", routingKey: "hold", type: "hold.v1", body: body, messageID: "\(UInt64.random(in: .min ... .max))",
        within: limit)
}

/// How a call failed; nil when it did not.
func outcome(_ client: RPCClient, body: [UInt8] = [], within limit: Duration) async -> RPCError? {
    do throws(RPCError) {
        try await hold(client, body: body, within: limit)
        return nil
    } catch {
        return error
    }
}

/// A client, and a server that answers each request with its own body.
func withEcho(_ body: (TestBroker, RPCClient) async throws -> Void) async throws {
    try await TestBroker.with { broker in
        try declareHolds(broker)
        try await withConsumer(broker, .queue("ledger.rpc.hold"), prefetch: 128) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await echo(server) }
                try await withRPCClient(broker) { client in try await body(broker, client) }
                group.cancelAll()
            }
        }
    }
}

/// Answers every request until cancelled.
func echo(_ server: AMQPConsumer) async throws {
    while true {
        do {
            for request in try await server.next(max: 64) { answer(request, from: server, body: request.body) }
        } catch is CancellationError {
            return
        }
    }
}

func answer(_ request: Delivery, from server: AMQPConsumer, body: [UInt8] = []) {
    server.answer(request, messageID: "r", type: "hold.reply.v1", body: body)
}
