import EventLoop
import HTTP
import HTTPWire
import Synchronization
import Values

/// The answer of a call that can have several clients: the one that made it, and those that repeat it.
///
/// Confined to the loop of the call. A client that joins may have another loop: what it gets goes there in
/// order.
final class SharedAnswer: AnswerSink, @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`, but for `join`, which goes there.

    /// A client that joined. Its sink is confined to its own loop.
    private final class Guest: @unchecked Sendable {
        // @unchecked Sendable: used on the loop of its exchange only.
        let exchange: Exchange
        let sink: ClientSink
        let reply: Promise<CallReply>

        init(_ exchange: Exchange, _ sink: ClientSink) {
            (self.exchange, self.sink) = (exchange, sink)
            reply = Promise(on: exchange.loop)
        }

        /// Runs an action on the guest's loop, behind all earlier ones.
        func perform(_ action: @escaping @Sendable (Guest) -> Void) {
            exchange.loop.execute { [self] in if !exchange.isClosed { action(self) } }
        }
    }

    private let loop: EventLoop
    private let host: Exchange
    private let hostSink: ClientSink
    /// True if the answer is kept, so that the call goes on without a client.
    private let isKept: Bool
    private var guests: [Guest] = []
    private var charge: ChargeID?
    private var head: StreamHead?
    /// The stream from its beginning. Empty if it is not kept.
    private var record: [UInt8] = []
    /// False once the stream is too long, or has begun without a record.
    private var isWholeRecord = true
    private var isStopping = false
    private var reply: CallReply?

    var onClose: (() -> Void)?
    var onReturn: (() -> Void)?
    var onDrain: (() -> Void)?

    /// A guest with more bytes that wait for it is dropped.
    private static let waitingBytesMax = 4 << 20

    /// - Parameter isKept: true for a call with an idempotency key.
    init(_ exchange: Exchange, _ sink: ClientSink, isKept: Bool) {
        (loop, host, hostSink, self.isKept) = (exchange.loop, exchange, sink, isKept)
        hostSink.onClose = { [weak self] in self?.clientLeft() }
        hostSink.onDrain = { [weak self] in self?.onDrain?() }
        if isKept {
            host.whenServerStops { [weak self] in
                self?.isStopping = true
                self?.clientLeft()
            }
        }
    }

    // MARK: The call's side

    var isClosed: Bool { hostSink.isClosed && guests.isEmpty && (!isKept || isStopping) }
    var isBackpressured: Bool { hostSink.isBackpressured }

    func whenServerStops(_ action: @escaping () -> Void) { hostSink.whenServerStops(action) }

    func take(_ charge: ChargeID) {
        self.charge = charge
        if !hostSink.isClosed { hostSink.take(charge) }
    }

    func dropRequest() { hostSink.dropRequest() }

    func begin(_ head: StreamHead) {
        self.head = head
        if !hostSink.isClosed { hostSink.begin(head) }
        for guest in guests { begin(guest) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        keep(bytes)
        hostSink.write(bytes)
        guard !guests.isEmpty else { return }
        let copy = Array(bytes)
        for guest in guests { guest.perform { Self.write(copy, to: $0) } }
    }

    func providerEnded() {
        hostSink.providerEnded()
        for guest in guests { guest.perform { $0.sink.providerEnded() } }
    }

    /// Ends the answer for all guests. The host's handler sends its own reply.
    func finish(_ reply: CallReply) {
        self.reply = reply
        for guest in guests { Self.send(reply, to: guest) }
        guests = []
    }

    /// The provider of a stream. Empty before it begins.
    var provider: String { head?.provider ?? "" }
    var mediaType: String { head?.mediaType ?? "" }

    /// The whole stream, if it is kept.
    var keptStream: [UInt8]? { isKept && isWholeRecord ? record : nil }

    private func keep(_ bytes: UnsafeRawBufferPointer) {
        guard isKept, isWholeRecord, record.count + bytes.count <= KeptAnswer.bytesMax else {
            (record, isWholeRecord) = ([], false)
            return
        }
        record.append(contentsOf: bytes)
    }

    private func clientLeft() {
        guard reply == nil else { return }
        // A call that goes on without its client waits for no client that reads slowly.
        if isClosed { onClose?() } else if !isBackpressured { onDrain?() }
    }

    // MARK: Guests

    /// Sends the answer to one more client, from its beginning.
    /// - Returns: the end of the answer. Nil if the beginning is lost, or no client waits for the call any more.
    func join(_ exchange: Exchange, _ translator: (any StreamTranslator)?) async throws -> CallReply? {
        let guest = Guest(exchange, ClientSink(exchange, translator))
        exchange.onClose = { guest.reply.succeed(.nothing) }
        let isAdmitted = await Task(executorPreference: loop) { [self] in admit(guest) }.value
        guard isAdmitted else { return nil }
        exchange.dropBody()
        defer { loop.execute { [self] in remove(guest) } }
        return try await guest.reply.value()
    }

    private func admit(_ guest: Guest) -> Bool {
        if let reply {
            guard head == nil || isKept && isWholeRecord else { return false }
            begin(guest)
            Self.send(reply, to: guest)
            return true
        }
        guard !isStopping, head == nil || isKept && isWholeRecord else { return false }
        let isReturn = isClosed
        guests.append(guest)
        if isReturn { onReturn?() }
        begin(guest)
        return true
    }

    /// Sends the guest what the answer has so far.
    private func begin(_ guest: Guest) {
        guest.perform { $0.exchange.commonHeaders.add("idempotency-replayed", "true") }
        if let charge { guest.perform { $0.sink.take(charge) } }
        guard let head else { return }
        let record = record
        guest.perform { guest in
            guest.sink.begin(head)
            Self.write(record, to: guest)
        }
    }

    private func remove(_ guest: Guest) {
        guests.removeAll { $0 === guest }
        clientLeft()
    }

    private static func write(_ bytes: [UInt8], to guest: Guest) {
        bytes.withUnsafeBytes { guest.sink.write($0) }
        if guest.exchange.buffered > waitingBytesMax { guest.exchange.abort() }
    }

    private static func send(_ reply: CallReply, to guest: Guest) {
        guest.exchange.loop.execute { guest.reply.succeed(reply) }
    }
}
