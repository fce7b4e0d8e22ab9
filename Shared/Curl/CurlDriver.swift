import CCurl
package import EventLoop
import Glibc

/// libcurl's multi handle on a loop: libcurl says which descriptors and which one timer it wants, the loop says when they are ready.
///
/// libcurl must not be entered from its own callbacks. The socket and timer callbacks below only arm the loop; transfers are
/// added, removed and finished from loop turns, where no libcurl frame is on the stack.
package final class CurlDriver: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`; the initialiser runs before another thread can see it.

    package typealias WhenDone = @Sendable (Result<CurlAnswer, CurlFailure>) -> Void

    private let loop: EventLoop
    private let multi: OpaqueMulti
    private var running: [UnsafeMutableRawPointer: (transfer: CurlTransfer, whenDone: WhenDone)] = [:]
    private var sockets: [Int32: SocketWatch] = [:]
    private var timer: TimerID?
    private var closed = false

    private typealias OpaqueMulti = UnsafeMutableRawPointer

    /// - Parameter connectionsMax: open connections, idle ones included; further transfers wait in line.
    package init(loop: EventLoop, connectionsMax: Int) {
        _ = libraryReady
        self.loop = loop
        multi = curl_multi_init()!
        ccurl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connectionsMax)
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connectionsMax)
        // libcurl may call back until close(), which keeps `self` alive through its caller.
        ccurl_multi_callbacks(
            multi,
            { _, descriptor, wanted, context, _ in
                CurlDriver.from(context!).watch(descriptor, wanted)
                return 0
            },
            { _, milliseconds, context in
                CurlDriver.from(context!).setTimer(milliseconds)
                return 0
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    private static func from(_ context: UnsafeMutableRawPointer) -> CurlDriver {
        Unmanaged<CurlDriver>.fromOpaque(context).takeUnretainedValue()
    }

    /// Runs a transfer, and calls `whenDone` once when it has ended, unless it is abandoned.
    package func start(_ transfer: CurlTransfer, whenDone: @escaping WhenDone) {
        loop.preconditionCurrent()
        guard !closed else { return whenDone(.failure(Self.closedFailure)) }
        running[transfer.easy] = (transfer, whenDone)
        // libcurl answers with a timer of 0 ms, which starts the transfer on the next turn.
        let status = curl_multi_add_handle(multi, transfer.easy)
        precondition(status == CURLM_OK, "libcurl refused a new transfer: \(status.rawValue)")
    }

    /// Drops a transfer that no task waits for any more. One that has ended is left alone.
    package func abandon(_ transfer: CurlTransfer) {
        loop.preconditionCurrent()
        guard running[transfer.easy] != nil else { return }
        remove(transfer)
    }

    /// Closes all connections. A transfer that runs, or is started later, ends with ``CurlFailure/Code/closedEarly``.
    package func close() {
        loop.preconditionCurrent()
        guard !closed else { return }
        for (transfer, whenDone) in Array(running.values) {
            remove(transfer)
            whenDone(.failure(Self.closedFailure))
        }
        curl_multi_cleanup(multi)
        if let timer { loop.cancel(timer) }
        for descriptor in Array(sockets.keys) { watch(descriptor, CURL_POLL_REMOVE) }
        closed = true
    }

    private static let closedFailure = CurlFailure(
        code: .closedEarly, message: "the client was closed", status: 0, isMessageSent: false)

    private func remove(_ transfer: CurlTransfer) {
        curl_multi_remove_handle(multi, transfer.easy)
        running[transfer.easy] = nil
    }

    // MARK: Turns

    fileprivate func act(on descriptor: Int32, _ events: Int32) {
        guard !closed else { return }
        var count: Int32 = 0
        curl_multi_socket_action(multi, descriptor, events, &count)
        finishDone()
    }

    private func finishDone() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle, let done = running[easy] else {
                continue
            }
            // The message lives in the transfer and dies with its removal.
            let result = ccurl_message_result(message)
            remove(done.transfer)
            done.whenDone(done.transfer.result(result))
        }
    }

    // MARK: Called from within libcurl

    private func watch(_ descriptor: Int32, _ wanted: Int32) {
        let interest: IOEvents =
            switch wanted {
            case CURL_POLL_IN: .readable
            case CURL_POLL_OUT: .writable
            case CURL_POLL_INOUT: [.readable, .writable]
            default: []
            }
        if wanted == CURL_POLL_REMOVE {
            if sockets.removeValue(forKey: descriptor) != nil { loop.unwatch(descriptor) }
        } else if sockets[descriptor] != nil {
            loop.modify(descriptor, for: interest)
        } else {
            let socket = SocketWatch(self, descriptor)
            sockets[descriptor] = socket
            loop.watch(descriptor, for: interest, socket)
        }
    }

    /// Milliseconds until libcurl wants to be called; -1 for "no timer". It is allowed to ask for 0.
    private func setTimer(_ milliseconds: Int) {
        if let timer { loop.cancel(timer) }
        timer =
            milliseconds < 0
            ? nil
            : loop.schedule(after: .milliseconds(milliseconds)) { [unowned self] in
                timer = nil
                act(on: CURL_SOCKET_TIMEOUT, 0)
            }
    }
}

/// One descriptor of libcurl's.
private final class SocketWatch: IOHandler {
    private unowned let driver: CurlDriver
    private let descriptor: Int32

    init(_ driver: CurlDriver, _ descriptor: Int32) {
        (self.driver, self.descriptor) = (driver, descriptor)
    }

    override func ready(_ events: IOEvents) {
        var happened: Int32 = 0
        if !events.isDisjoint(with: [.readable, .hangup, .peerClosed]) { happened |= CURL_CSELECT_IN }
        if events.contains(.writable) { happened |= CURL_CSELECT_OUT }
        if events.contains(.error) { happened |= CURL_CSELECT_ERR }
        driver.act(on: descriptor, happened)
    }
}

/// Once a process. With `CURLOPT_NOSIGNAL` libcurl leaves SIGPIPE to the program, and OpenSSL writes without `MSG_NOSIGNAL`.
let libraryReady: Bool = {
    curl_global_init(Int(CURL_GLOBAL_DEFAULT))
    signal(SIGPIPE, SIG_IGN)
    return true
}()
