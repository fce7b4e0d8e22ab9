import EventLoop

/// Repeats the usage report of one running call until it is stopped.
final class Reports {
    private let loop: EventLoop
    private let every: Duration
    private let report: () -> Void
    private var timer: TimerID?

    init(on loop: EventLoop, every: Duration, _ report: @escaping () -> Void) {
        (self.loop, self.every, self.report) = (loop, every, report)
        schedule()
    }

    func stop() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    private func schedule() {
        timer = loop.schedule(after: every) { [self] in
            report()
            schedule()
        }
    }
}
