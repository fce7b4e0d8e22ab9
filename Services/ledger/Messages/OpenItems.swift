import LedgerCore
import Synchronization

/// The items of a message that are not durable yet.
final class OpenItems: Sendable {
    private struct State {
        var left: Int
        var isSpoiled = false
    }

    /// The end of a message.
    enum End { case stored, spoiled }

    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(left: count)) }

    /// - Returns: the end of the message, for its last item. It is spoiled if an item could not be
    ///   stored. The message then goes to the dead letters as a whole. Its other items are decided;
    ///   decided again, they are duplicates.
    func finish(isStored: Bool) -> End? {
        state.withLock { state in
            state.left -= 1
            state.isSpoiled = state.isSpoiled || !isStored
            return state.left > 0 ? nil : state.isSpoiled ? .spoiled : .stored
        }
    }
}

/// A durable command on its way: the message or item that it came in, and the rest of its message.
struct OpenItem: Sendable {
    let message: DurableMessage
    let open: OpenItems

    init(_ message: DurableMessage, _ open: OpenItems) { (self.message, self.open) = (message, open) }
}
