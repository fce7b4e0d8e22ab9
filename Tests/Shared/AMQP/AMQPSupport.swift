import AMQP
import Glibc
import Telemetry
import TestSupport
import Testing

/// A message for a queue by its name, through the default exchange.
func message(_ id: String, to queue: String, exchange: String = "", persistent: Bool = true) -> OutgoingMessage {
    OutgoingMessage(
        exchange: exchange, routingKey: queue, body: Array(#"{"n":"\#(id)"}"#.utf8),
        properties: MessageProperties(messageID: id, type: "test.v1", persistent: persistent))
}

@discardableResult
func withPublisher<Result: Sendable>(
    _ broker: TestBroker, _ adjust: (inout AMQPConfiguration) -> Void = { _ in },
    _ body: (AMQPPublisher) async throws -> Result
) async throws -> Result {
    var configuration = try AMQPConfiguration(url: broker.url, connectionName: "test:publisher")
    adjust(&configuration)
    let publisher = AMQPPublisher(configuration, log: log)
    async let running: Void = publisher.run()
    guard await publisher.connected(within: .seconds(10)) else { throw NotConnected() }
    let result = try await body(publisher)
    await publisher.stop()
    await running
    return result
}

@discardableResult
func withConsumer<Result: Sendable>(
    _ broker: TestBroker, _ source: AMQPConsumer.Source, _ adjust: (inout AMQPConfiguration) -> Void = { _ in }, prefetch: Int = 100,
    onConnected: @escaping @Sendable () -> Void = {}, _ body: (AMQPConsumer) async throws -> Result
) async throws -> Result {
    var configuration = try AMQPConfiguration(url: broker.url, connectionName: "test:consumer")
    adjust(&configuration)
    let consumer = AMQPConsumer(configuration, source: source, prefetch: prefetch, log: log, onConnected: onConnected)
    async let running: Void = consumer.run()
    guard await consumer.connected(within: .seconds(10)) else { throw NotConnected() }
    let result = try await body(consumer)
    await consumer.stop(within: .milliseconds(500))
    await running
    return result
}

@discardableResult
func withRPCClient<Result: Sendable>(
    _ broker: TestBroker, answeredBy answerer: String? = nil, _ adjust: (inout AMQPConfiguration) -> Void = { _ in },
    _ body: (RPCClient) async throws -> Result
) async throws -> Result {
    var configuration = try AMQPConfiguration(url: broker.url, connectionName: "test:rpc")
    adjust(&configuration)
    let client = RPCClient(configuration, service: "test", answeredBy: answerer ?? configuration.user, log: log)
    async let running: Void = client.run()
    guard await client.connected(within: .seconds(10)) else { throw NotConnected() }
    let result = try await body(client)
    await client.stop(within: .milliseconds(500))
    await running
    return result
}

/// Returns the first line that a connection logs.
func firstLine(of configuration: AMQPConfiguration) async throws -> String {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    let log = Logger(service: "test", output: LogOutput(descriptor: ends[1]))
    let publisher = AMQPPublisher(configuration, log: log)
    async let running: Void = publisher.run()
    var line = [UInt8](repeating: 0, count: 4_096)
    let count = read(ends[0], &line, line.count)
    await publisher.stop()
    await running
    log.flush()
    ends.forEach { close($0) }
    return String(decoding: line.prefix(max(0, count)), as: UTF8.self)
}

let log = Logger(service: "test", level: .error)

struct NotConnected: Error {}
