import CLinux
import Glibc

/// Termination signals as events on a loop (signalfd(2)), where the handler may do anything.
package enum Signals {
    /// Blocks SIGTERM and SIGINT in the calling thread and in all it will spawn, so that they wait for a ``SignalWatch``, and
    /// ignores SIGPIPE: a vanished peer is an error of `write`, not the end of the process. Call before the first thread.
    package static func takeOver() {
        var set = Self.set([SIGTERM, SIGINT])
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    fileprivate static func set(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}

/// Calls its handler on the loop for each of the signals, which the process must have blocked. Confined to the loop.
package final class SignalWatch: IOHandler {
    private let loop: EventLoop
    private let descriptor: Int32
    private let handler: (Int32) -> Void

    package init(_ signals: [Int32], on loop: EventLoop, _ handler: @escaping (Int32) -> Void) {
        var set = Signals.set(signals)
        descriptor = signalfd(-1, &set, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
        precondition(descriptor >= 0, "signalfd: errno \(errno)")
        (self.loop, self.handler) = (loop, handler)
        super.init()
        loop.watch(descriptor, for: .readable, self)
    }

    package override func ready(_ events: IOEvents) {
        var info = signalfd_siginfo()
        while read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            handler(Int32(info.ssi_signo))
        }
    }

    package func cancel() {
        loop.unwatch(descriptor)
        close(descriptor)
    }
}
