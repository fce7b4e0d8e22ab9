import CRabbitMQ
import EventLoop
import Glibc

/// One connection with its one channel, confined to the thread that opened it.
///
/// librabbitmq connects, logs in, makes declarations (it waits for each answer, with a limit) and decodes frames; everything sent
/// while the channel is in use goes through ``output``. Heartbeats are ours too: the library's are switched off after login, since
/// in 0.11 a missed one makes its next call wait without limit.
final class Channel {
    var output = FrameWriter()
    let frameMax: Int
    private let transport: Transport
    private(set) var lastReceived = MonotonicInstant.current()
    var socket: Int32 { transport.socket }
    private let connection: amqp_connection_state_t
    /// Nothing sent for this long: a heartbeat is due. Nothing received for this long: the broker is gone.
    private let heartbeats: (sendAfter: Duration, failAfter: Duration)
    private var lastSent = MonotonicInstant.current()
    private var content: Content?

    /// A delivery or return whose header and body frames are still to come.
    private struct Content {
        enum Method {
            case delivery(tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
            case returned(Returned)
        }

        var method: Method
        var properties = MessageProperties()
        var body: [UInt8] = []
        var bodyCount: Int?
    }

    /// A longer body is a violation of our own rules. The largest message is an answer with 10,000
    /// revocations of each kind, below 1 MiB.
    private static let bodyBytesMax: UInt64 = 16 << 20

    deinit { amqp_destroy_connection(connection) }

    // MARK: Opening

    /// Looks up the host, connects, logs in and opens channel 1, each within `connectWithin`. With
    /// `amqps` the look-up may take longer (see ``Transport``).
    init(_ configuration: AMQPConfiguration, host: AMQPConfiguration.Host) throws(ConnectionFailure) {
        guard let connection = amqp_new_connection() else {
            throw ConnectionFailure(kind: .connectFailed, description: "out of memory")
        }
        do {
            transport = try Transport(connection, configuration, host)
            try Self.logIn(connection, configuration)
        } catch {
            amqp_destroy_connection(connection)
            throw error
        }
        self.connection = connection
        frameMax = Int(amqp_get_frame_max(connection))
        let seconds = amqp_get_heartbeat(connection)
        let heartbeat = seconds > 0 ? .seconds(Int64(seconds)) : configuration.heartbeat
        heartbeats = (heartbeat / 2, heartbeat * 2)
        amqp_tune_connection(connection, amqp_get_channel_max(connection), Int32(frameMax), 0)
        try openChannel()
    }

    private static func logIn(
        _ connection: amqp_connection_state_t, _ configuration: AMQPConfiguration
    ) throws(ConnectionFailure) {
        crabbitmq_limit_calls(connection, Int(configuration.connectWithin.milliseconds))
        let reply = crabbitmq_login(
            connection, configuration.virtualHost, Int32(configuration.heartbeat.components.seconds),
            "\(configuration.connectionName):\(Instance.name)", configuration.user, configuration.password)
        try check(reply, "login as \(configuration.user) to \(configuration.virtualHost)", .loginRefused)
    }

    /// Opens channel 1 again after the broker closed it. What belonged to the old one (consumers, confirm mode) is gone.
    func openChannel() throws(ConnectionFailure) {
        content = nil
        try flushBeforeCall()
        amqp_channel_open(connection, 1)
        try checkReply("open channel")
    }

    // MARK: Declarations. Each waits for the broker's answer, for at most `connectWithin`.

    /// A queue of this connection alone; it goes when its consumer or the connection goes.
    func declareExclusiveQueue(_ name: String) throws(ConnectionFailure) {
        try flushBeforeCall()
        withBytes(name) { _ = amqp_queue_declare(connection, 1, $0, 0, 0, 1, 1, amqp_empty_table) }
        try checkReply("declare \(name)")
    }

    func bind(queue: String, exchange: String, routingKey: String) throws(ConnectionFailure) {
        try flushBeforeCall()
        withBytes(queue) { queue in
            withBytes(exchange) { exchange in
                withBytes(routingKey) { _ = amqp_queue_bind(connection, 1, queue, exchange, $0, amqp_empty_table) }
            }
        }
        try checkReply("bind \(queue) to \(exchange) for \(routingKey)")
    }

    func limitPrefetch(_ count: Int) throws(ConnectionFailure) {
        try flushBeforeCall()
        amqp_basic_qos(connection, 1, 0, UInt16(count), 0)
        try checkReply("qos")
    }

    func consume(queue: String, consumer: String, acknowledged: Bool) throws(ConnectionFailure) {
        try flushBeforeCall()
        withBytes(queue) { queue in
            withBytes(consumer) { _ = amqp_basic_consume(connection, 1, queue, $0, 0, acknowledged ? 0 : 1, 0, amqp_empty_table) }
        }
        try checkReply("consume \(queue)")
    }

    func selectConfirms() throws(ConnectionFailure) {
        try flushBeforeCall()
        amqp_confirm_select(connection, 1)
        try checkReply("confirm.select")
    }

    /// The library writes past ``output``: what waits there has to leave first, or a frame would be cut in two.
    private func flushBeforeCall() throws(ConnectionFailure) {
        let limit = MonotonicInstant.current() + .seconds(2)
        while true {
            try output.flush(to: transport)
            guard output.pending > 0 else { return }
            guard MonotonicInstant.current() < limit else {
                throw ConnectionFailure(kind: .socket, description: "the broker does not read")
            }
            var descriptor = pollfd(fd: transport.socket, events: Int16(POLLOUT), revents: 0)
            poll(&descriptor, 1, 100)
        }
    }

    private func checkReply(_ what: @autoclosure () -> String) throws(ConnectionFailure) {
        try Self.check(amqp_get_rpc_reply(connection), what(), .protocolViolation)
    }

    // MARK: Receiving

    enum Event {
        case acknowledged(tag: UInt64, multiple: Bool)
        case rejected(tag: UInt64, multiple: Bool)
        case returned(Returned)
        case delivered(Delivery)
        /// The broker ended the subscription: the queue was deleted or its node went down.
        case consumerLost
        case blocked(reason: String)
        case unblocked
    }

    /// A mandatory message the broker could not route.
    struct Returned {
        var code: Int
        var text: String
        var exchange: String
        var routingKey: String
        var messageID = ""
    }

    /// Received but not yet looked at: `poll` would sleep on it.
    var hasBufferedInput: Bool { amqp_frames_enqueued(connection) != 0 || amqp_data_in_buffer(connection) != 0 }

    /// Reads what is there, giving every complete event to `body`, and releases the library's memory.
    func receive(_ body: (Event) throws(ConnectionFailure) -> Void) throws(ConnectionFailure) {
        lastReceived = .current()
        var frame = amqp_frame_t()
        while true {
            let status = crabbitmq_receive(connection, &frame)
            if status == AMQP_STATUS_TIMEOUT.rawValue { break }
            guard status == AMQP_STATUS_OK.rawValue else {
                throw ConnectionFailure(kind: .socket, description: "receive: \(Self.text(status))")
            }
            if let event = try event(frame) { try body(event) }
        }
        amqp_maybe_release_buffers(connection)
    }

    private func event(_ frame: amqp_frame_t) throws(ConnectionFailure) -> Event? {
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD: return try methodEvent(frame.payload.method)
        case AMQP_FRAME_HEADER:
            guard content != nil, let decoded = frame.payload.properties.decoded else {
                throw Self.violation("a content header without its method")
            }
            guard frame.payload.properties.body_size <= Self.bodyBytesMax else {
                throw Self.violation("a body of \(frame.payload.properties.body_size) bytes")
            }
            let bodyCount = Int(frame.payload.properties.body_size)
            content!.properties = MessageProperties(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee)
            content!.bodyCount = bodyCount
            content!.body.reserveCapacity(min(bodyCount, frameMax))
        case AMQP_FRAME_BODY:
            guard content?.bodyCount != nil else { throw Self.violation("a content body without its header") }
            content!.body.append(contentsOf: UnsafeRawBufferPointer(frame.payload.body_fragment))
        default: return nil
        }
        guard let finished = content, let bodyCount = finished.bodyCount, finished.body.count >= bodyCount else { return nil }
        guard finished.body.count == bodyCount else { throw Self.violation("a body longer than its header says") }
        content = nil
        switch finished.method {
        case .returned(var returned):
            returned.messageID = finished.properties.messageID
            return .returned(returned)
        case .delivery(let tag, let redelivered, let exchange, let routingKey):
            return .delivered(
                Delivery(
                    tag: tag, exchange: exchange, routingKey: routingKey, redelivered: redelivered, receivedAt: lastReceived,
                    body: finished.body, properties: finished.properties))
        }
    }

    private func methodEvent(_ method: amqp_method_t) throws(ConnectionFailure) -> Event? {
        func arguments<Arguments>(_: Arguments.Type) -> Arguments { method.decoded.assumingMemoryBound(to: Arguments.self).pointee }
        switch Method(rawValue: method.id) {
        case .basicAck:
            let ack = arguments(amqp_basic_ack_t.self)
            return .acknowledged(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case .basicNack:
            let nack = arguments(amqp_basic_nack_t.self)
            return .rejected(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        case .basicDeliver:
            let deliver = arguments(amqp_basic_deliver_t.self)
            content = Content(
                method: .delivery(
                    tag: deliver.delivery_tag, redelivered: deliver.redelivered != 0, exchange: String(deliver.exchange),
                    routingKey: String(deliver.routing_key)))
        case .basicReturn:
            let back = arguments(amqp_basic_return_t.self)
            content = Content(
                method: .returned(
                    Returned(
                        code: Int(back.reply_code), text: String(back.reply_text), exchange: String(back.exchange),
                        routingKey: String(back.routing_key))))
        case .basicCancel: return .consumerLost
        case .connectionBlocked: return .blocked(reason: String(arguments(amqp_connection_blocked_t.self).reason))
        case .connectionUnblocked: return .unblocked
        case .channelClose:
            let close = arguments(amqp_channel_close_t.self)
            output.channelCloseOK()
            throw ConnectionFailure(kind: .channelClosed(code: Int(close.reply_code)), description: String(close.reply_text))
        case .connectionClose:
            let close = arguments(amqp_connection_close_t.self)
            output.connectionCloseOK()
            throw ConnectionFailure(kind: .connectionClosed(code: Int(close.reply_code)), description: String(close.reply_text))
        case .connectionCloseOK: throw ConnectionFailure(kind: .connectionClosed(code: 200), description: "closed")
        default: return nil
        }
        return nil
    }

    private static func violation(_ what: String) -> ConnectionFailure {
        ConnectionFailure(kind: .protocolViolation, description: what)
    }

    // MARK: Sending

    func flush() throws(ConnectionFailure) {
        guard output.pending > 0 else { return }
        lastSent = .current()
        try output.flush(to: transport)
    }

    /// Closes in order if the broker still listens. Waits for nothing.
    func abandon(_ failure: ConnectionFailure) {
        switch failure.kind {
        case .connectFailed, .loginRefused, .missedHeartbeats, .socket, .protocolViolation: return
        case .connectionClosed, .channelClosed: break  // close-ok waits in the output when it is owed
        case .consumerLost, .setUpRefused, .confirmMissing: output.connectionClose()
        }
        try? output.flush(to: transport)
    }

    /// Sends a heartbeat when due, and fails when the broker's have stopped.
    /// - Returns: when to look again.
    func beat(now: MonotonicInstant) throws(ConnectionFailure) -> MonotonicInstant {
        guard now < lastReceived + heartbeats.failAfter else {
            throw ConnectionFailure(kind: .missedHeartbeats, description: "nothing received for \(heartbeats.failAfter)")
        }
        // Bytes that wait for a full socket say enough, and a heartbeat a second could otherwise pile up behind them.
        if now >= lastSent + heartbeats.sendAfter, output.pending == 0 {
            output.heartbeat()
            try flush()
        }
        return min(lastSent + heartbeats.sendAfter, lastReceived + heartbeats.failAfter, now + heartbeats.sendAfter)
    }

    // MARK: Statuses

    private static func check(_ reply: amqp_rpc_reply_t, _ what: String, _ kind: ConnectionFailure.Kind) throws(ConnectionFailure) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            switch Method(rawValue: reply.reply.id) {
            case .channelClose:
                let close = reply.reply.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
                throw ConnectionFailure(
                    kind: .setUpRefused(code: Int(close.reply_code)), description: "\(what): \(String(close.reply_text))")
            case .connectionClose:
                let close = reply.reply.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
                throw ConnectionFailure(
                    kind: kind == .loginRefused ? kind : .connectionClosed(code: Int(close.reply_code)),
                    description: "\(what): \(String(close.reply_text))")
            default: throw ConnectionFailure(kind: kind, description: "\(what): refused")
            }
        default:
            throw ConnectionFailure(kind: .socket, description: "\(what): \(text(reply.library_error))")
        }
    }

    private static func text(_ status: Int32) -> String { String(cString: amqp_error_string2(status)) }
}

private func withBytes<Result>(_ text: String, _ body: (amqp_bytes_t) -> Result) -> Result {
    var text = text
    return text.withUTF8 { utf8 in
        body(amqp_bytes_t(len: utf8.count, bytes: UnsafeMutableRawPointer(mutating: utf8.baseAddress)))
    }
}

extension UnsafeRawBufferPointer {
    /// Valid until the library releases its buffers.
    init(_ bytes: amqp_bytes_t) { self.init(start: bytes.bytes, count: bytes.len) }
}

extension String {
    init(_ bytes: amqp_bytes_t) { self.init(decoding: UnsafeRawBufferPointer(bytes), as: UTF8.self) }
}
