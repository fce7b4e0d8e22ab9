import AMQP

/// The messages of one transaction of the relay, published in rounds.
///
/// The first round holds every message without a key and the first message of each key. Each later
/// round holds the next message of the keys whose last message was confirmed. A round never holds
/// two messages of one key, because the broker could refuse the first and take the second.
struct OutboxBatch: Sendable {
    private(set) var round: [DueMessage]
    private(set) var sent: [Int64] = []
    private(set) var failed: [MarkFailed.Failure] = []
    /// True after the connection failed. The remaining messages are not tried and stay as they are.
    private(set) var isBrokerDown = false
    /// True if a message was sent, or was tried for the first time.
    private(set) var hasProgress = false
    /// True if a message was sent that had failed before.
    private(set) var hasRecovered = false
    /// The messages behind the message in the round, by ordering key.
    private var rest: [String: ArraySlice<DueMessage>]

    /// - Parameter messages: messages without a key, and the first unsent messages of some keys, in
    ///   the order of seq.
    init(_ messages: [DueMessage]) {
        let byKey = Dictionary(grouping: messages) { $0.orderingKey }
        round = byKey.flatMap { key, messages in key == nil ? messages : [messages[0]] }
        rest = Dictionary(uniqueKeysWithValues: byKey.compactMap { key, messages in key.map { ($0, messages.dropFirst()) } })
    }

    /// Takes the results of the round, in the order of its messages, and makes the next round. A
    /// message without a result stays as it is.
    mutating func finishRound(_ results: [Result<Void, PublishError>?]) {
        var next: [DueMessage] = []
        for case (let message, let result?) in zip(round, results) {
            hasProgress = hasProgress || message.attempts == 0
            switch result {
            case .success:
                hasProgress = true
                hasRecovered = hasRecovered || message.attempts > 0
                sent.append(message.seq)
                if let key = message.orderingKey, let follower = rest[key]?.popFirst() { next.append(follower) }
            case .failure(let error):
                guard let pauseMax = Self.pauseMax(after: error) else {
                    isBrokerDown = true
                    continue
                }
                failed.append(MarkFailed.Failure(seq: message.seq, reason: "\(error)", pauseMax: pauseMax))
            }
        }
        round = isBrokerDown ? [] : next
    }

    /// Returns the longest pause before the next attempt. Nil if the connection failed and not the
    /// message.
    ///
    /// A queue that is full or has no leader may take the message at any time, so its pause is at
    /// most 8 s. With the sweep's 1 s it stays below 10 s. A missing queue, exchange or right waits
    /// for an operator.
    private static func pauseMax(after error: PublishError) -> Duration? {
        switch error {
        case .nacked, .timedOut: .seconds(8)
        case .unroutable, .closed: .seconds(300)
        case .disconnected, .blocked, .saturated, .stopped: nil
        }
    }
}
