import EventLoop

/// What was published on a channel and not yet confirmed, by delivery tag.
///
/// Tags count from 1 on each channel, in the order of publishing; confirms come for one tag or for all up to one, in any
/// order (RabbitMQ, "Publisher Confirms"). A slot whose asker has given up stays until its confirm has come.
struct ConfirmWindow<Token> {
    struct Slot {
        var token: Token?
        var deadline: MonotonicInstant
        var exchange: String
        var routingKey: String
        var messageID: String
        var returned: Channel.Returned?
        var isSettled = false
    }

    private var slots: [Slot] = []
    private var head = 0
    private var firstTag: UInt64 = 1
    /// Never later than the earliest deadline.
    private(set) var nextDeadline = MonotonicInstant.never

    /// Settled slots behind an unsettled one count too.
    var count: Int { slots.count - head }

    /// For the message just written: gives it the channel's next tag.
    mutating func append(_ token: Token, deadline: MonotonicInstant, _ message: borrowing OutgoingMessage) {
        slots.append(
            Slot(
                token: token, deadline: deadline, exchange: message.exchange, routingKey: message.routingKey,
                messageID: message.properties.messageID))
        nextDeadline = min(nextDeadline, deadline)
    }

    /// basic.return names no tag; it comes before the ack of its message. Among messages alike in exchange, key and id the oldest
    /// is as good as any: they share their fate.
    mutating func markReturned(_ returned: Channel.Returned) {
        for index in head..<slots.count
        where slots[index].returned == nil && !slots[index].isSettled && slots[index].routingKey == returned.routingKey
            && slots[index].messageID == returned.messageID && slots[index].exchange == returned.exchange
        {
            slots[index].returned = returned
            return
        }
    }

    /// Calls `finish` for each message this confirm settles whose asker still waits.
    mutating func settle(tag: UInt64, multiple: Bool, _ finish: (Token, Channel.Returned?) -> Void) {
        precondition(tag >= 1 && tag < firstTag + UInt64(count), "a confirm for tag \(tag), which was never published")
        guard tag >= firstTag else { return }
        let last = head + Int(tag - firstTag)
        for index in (multiple ? head : last)...last where !slots[index].isSettled {
            slots[index].isSettled = true
            if let token = slots[index].token.take() { finish(token, slots[index].returned) }
        }
        while head < slots.count, slots[head].isSettled {
            head += 1
            firstTag += 1
        }
        compact()
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

    /// Gives up on those past their deadline.
    mutating func expire(now: MonotonicInstant, _ finish: (Token) -> Void) {
        guard nextDeadline <= now else { return }
        nextDeadline = .never
        for index in head..<slots.count where slots[index].token != nil {
            if slots[index].deadline <= now {
                if let token = slots[index].token.take() { finish(token) }
            } else {
                nextDeadline = min(nextDeadline, slots[index].deadline)
            }
        }
    }

    /// The channel is gone: tags start at 1 again.
    mutating func reset(_ finish: (Token, Channel.Returned?) -> Void) {
        for index in head..<slots.count {
            if let token = slots[index].token.take() { finish(token, slots[index].returned) }
        }
        self = ConfirmWindow()
    }
}
