import EventLoop

/// The messages of a channel that are published and not yet confirmed, by delivery tag.
///
/// Tags count from 1 on each channel, in the order of publishing. A confirm names one tag or all up
/// to one. Confirms come in any order (RabbitMQ, "Publisher Confirms"). A message whose caller has
/// given up stays until its confirm arrives, because the tags after it count on it.
struct ConfirmWindow<Token> {
    struct Slot {
        var token: Token?
        var deadline: MonotonicInstant
        var publishedAt: MonotonicInstant
        var exchange: String
        var routingKey: String
        var messageID: String
        var returned: Channel.Returned?
        var isConcluded = false
    }

    private var slots: [Slot] = []
    private var head = 0
    private var firstTag: UInt64 = 1
    /// Never later than the earliest deadline.
    private(set) var nextDeadline = MonotonicInstant.never
    /// The messages whose callers still wait.
    private(set) var awaited = 0

    /// The messages from the oldest unconfirmed one on, confirmed or not.
    var count: Int { slots.count - head }

    /// The time of the oldest publish without a confirm.
    var oldest: MonotonicInstant? { head < slots.count ? slots[head].publishedAt : nil }

    /// Adds the message just written. It has the channel's next tag.
    mutating func append(_ token: Token, deadline: MonotonicInstant, now: MonotonicInstant, _ message: borrowing OutgoingMessage) {
        slots.append(
            Slot(
                token: token, deadline: deadline, publishedAt: now, exchange: message.exchange, routingKey: message.routingKey,
                messageID: message.properties.messageID))
        awaited += 1
        nextDeadline = min(nextDeadline, deadline)
    }

    /// Counts the age of every message from now on: the broker reads nothing during an alarm.
    mutating func restart(now: MonotonicInstant) {
        for index in head..<slots.count { slots[index].publishedAt = now }
    }

    /// Marks the message that a basic.return is about. A return names no tag and comes before the
    /// confirm of its message. Among messages of one exchange, key and id the oldest is marked,
    /// because all of them are returned.
    mutating func markReturned(_ returned: Channel.Returned) {
        for index in head..<slots.count
        where slots[index].returned == nil && !slots[index].isConcluded && slots[index].routingKey == returned.routingKey
            && slots[index].messageID == returned.messageID && slots[index].exchange == returned.exchange
        {
            slots[index].returned = returned
            return
        }
    }

    /// Concludes one message, or all up to its tag. Tag 0 with `multiple` means all (AMQP 0-9-1,
    /// basic.ack). Calls `finish` for each concluded message whose caller still waits.
    /// - Throws: a violation of the protocol, if no message has the tag.
    mutating func conclude(
        tag: UInt64, multiple: Bool, _ finish: (Token, Channel.Returned?) -> Void
    ) throws(ConnectionFailure) {
        let next = firstTag + UInt64(count)
        let tag = tag == 0 && multiple ? next - 1 : tag
        guard tag < next, tag >= 1 || multiple else {
            throw ConnectionFailure(kind: .protocolViolation, description: "a confirm for tag \(tag), which was never published")
        }
        guard tag >= firstTag else { return }
        let last = head + Int(tag - firstTag)
        for index in (multiple ? head : last)...last where !slots[index].isConcluded {
            slots[index].isConcluded = true
            take(index, finish)
        }
        while head < slots.count, slots[head].isConcluded {
            head += 1
            firstTag += 1
        }
        compact()
    }

    private mutating func take(_ index: Int, _ finish: (Token, Channel.Returned?) -> Void) {
        guard let token = slots[index].token.take() else { return }
        awaited -= 1
        finish(token, slots[index].returned)
    }

    private mutating func compact() {
        if head == slots.count {
            slots.removeAll(keepingCapacity: true)
            head = 0
            nextDeadline = .never
        } else if head > 4_096 {
            slots.removeFirst(head)
            head = 0
        }
    }

    /// Gives up the messages whose deadline has passed.
    mutating func expire(now: MonotonicInstant, _ finish: (Token) -> Void) {
        guard nextDeadline <= now else { return }
        nextDeadline = .never
        for index in head..<slots.count where slots[index].token != nil {
            if slots[index].deadline <= now {
                take(index) { token, _ in finish(token) }
            } else {
                nextDeadline = min(nextDeadline, slots[index].deadline)
            }
        }
    }

    /// Gives up all messages, because the channel is lost. The next channel counts from 1.
    mutating func reset(_ finish: (Token, Channel.Returned?) -> Void) {
        for index in head..<slots.count { take(index, finish) }
        self = ConfirmWindow()
    }
}
