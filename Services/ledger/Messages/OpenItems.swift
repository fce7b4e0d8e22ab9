import LedgerCore

/// The items of a message that are not durable yet.
///
/// Confined to the runner's loop.
final class OpenItems: @unchecked Sendable {
    // @unchecked Sendable: confined to the runner's loop.
    private var left: Int
    /// True if an item could not be stored. The message then goes to the dead letters as a whole. Its
    /// other items are decided; decided again, they are duplicates.
    private(set) var isSpoiled = false

    init(_ count: Int) { left = count }

    /// - Returns: true for the last item.
    func finish(isStored: Bool) -> Bool {
        left -= 1
        isSpoiled = isSpoiled || !isStored
        return left == 0
    }
}

/// A durable command on its way: the message or item that it came in, and the rest of its message.
struct OpenItem: Sendable {
    let message: DurableMessage
    let open: OpenItems

    init(_ message: DurableMessage, _ open: OpenItems) { (self.message, self.open) = (message, open) }
}
