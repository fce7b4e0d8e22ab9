import Glibc
import JSON
import Text

/// Where lines go: a descriptor, written by one thread of its own.
///
/// At most 4 MiB wait; what comes on top is dropped, and a line says how many. The thread lets lines gather for 10 ms, so
/// writing costs a few system calls a second, not one a line.
package final class LogOutput: @unchecked Sendable {
    // @unchecked Sendable: every stored variable is read and written with `mutex` held. A pthread mutex and not Swift's,
    // because the writer thread has to wait on a condition.

    package static let standard = LogOutput(descriptor: STDOUT_FILENO)

    private let descriptor: Int32
    private let bytesMax: Int
    private let gatherNanoseconds = 10_000_000

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let hasLines = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let isUrgent = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let wasWritten = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    private var waiting: [UInt8] = []
    private var dropped = 0
    private var urgent = false
    private var batchesTaken = 0
    private var batchesWritten = 0

    /// Outputs live as long as the process; the descriptor is not closed.
    package init(descriptor: Int32, bytesMax: Int = 4 << 20) {
        self.descriptor = descriptor
        self.bytesMax = bytesMax
        pthread_mutex_init(mutex, nil)
        for condition in [hasLines, isUrgent, wasWritten] { pthread_cond_init(condition, nil) }
        startWriter()
    }

    func append(line: [UInt8]) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard waiting.count + line.count < bytesMax else {
            dropped += 1
            return
        }
        let wasEmpty = waiting.isEmpty
        waiting.append(contentsOf: line)
        waiting.append(0x0A)
        if wasEmpty { pthread_cond_signal(hasLines) }
        if waiting.count > bytesMax / 2, !urgent {
            urgent = true
            pthread_cond_signal(isUrgent)
        }
    }

    func flush() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        // Waiting lines leave with the next batch; lines that were taken already, with the last.
        let target = waiting.isEmpty ? batchesTaken : batchesTaken + 1
        urgent = true
        pthread_cond_signal(isUrgent)
        var deadline = Self.deadline(nanoseconds: 1_000_000_000)
        while batchesWritten < target {
            guard pthread_cond_timedwait(wasWritten, mutex, &deadline) == 0 else { return }
        }
    }

    // MARK: The writer

    private func startWriter() {
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<LogOutput>.fromOpaque(argument!).takeRetainedValue().writeForever()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(status == 0, "cannot start the log writer: errno \(status)")
        pthread_detach(thread)
    }

    private func writeForever() {
        var batch: [UInt8] = []
        while true {
            take(&batch)
            write(batch)
            batch.removeAll(keepingCapacity: true)
            pthread_mutex_lock(mutex)
            batchesWritten = batchesTaken
            pthread_cond_broadcast(wasWritten)
            pthread_mutex_unlock(mutex)
        }
    }

    private func take(_ batch: inout [UInt8]) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while waiting.isEmpty { pthread_cond_wait(hasLines, mutex) }
        var deadline = Self.deadline(nanoseconds: gatherNanoseconds)
        while !urgent, pthread_cond_timedwait(isUrgent, mutex, &deadline) == 0 {}
        urgent = false
        batchesTaken += 1
        swap(&batch, &waiting)
        guard dropped > 0 else { return }
        batch.append(
            contentsOf: JSONWriter.object { [dropped] json in
                json.field("time", Timestamp.text(Timestamp.now()))
                json.field("level", LogLevel.warning.name)
                json.field("message", "log lines dropped")
                json.field("count", dropped)
            })
        batch.append(0x0A)
        dropped = 0
    }

    private func write(_ batch: [UInt8]) {
        batch.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while let start = UnsafeRawBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
                let count = Glibc.write(descriptor, start, rest.count)
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&watched, 1, -1)
                } else if errno != EINTR {
                    return  // The reader is gone: nobody is left to tell.
                }
            }
        }
    }

    private static func deadline(nanoseconds: Int) -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let total = time.tv_nsec + nanoseconds
        return timespec(tv_sec: time.tv_sec + total / 1_000_000_000, tv_nsec: total % 1_000_000_000)
    }
}
