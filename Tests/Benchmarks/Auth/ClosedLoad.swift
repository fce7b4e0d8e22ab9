import EventLoop
import Synchronization

/// Callers that each send the next request when the last one is answered.
struct ClosedLoad {
    let callers: Int
    let limit: Duration

    /// The answers before this are not counted.
    private static let warmUp = Duration.milliseconds(500)

    struct Result: Sendable {
        var milliseconds: [Double] = []
        var failed = 0
        var seconds = 0.0

        var perSecond: Double { Double(milliseconds.count) / seconds }
    }

    /// Runs until the time limit.
    /// - Parameter call: sends one request of the caller with this number.
    /// - Returns: the answers with a status of 2xx as times, all others as a number.
    func run(_ call: @escaping @Sendable (Int) async throws -> ServiceClient.Answer) async throws -> Result {
        let begun = MonotonicInstant.current() + Self.warmUp
        let end = begun + limit
        return try await withThrowingTaskGroup(of: Result.self) { group in
            for caller in 0..<callers {
                group.addTask {
                    var result = Result()
                    while MonotonicInstant.current() < end {
                        let answer = try await call(caller)
                        guard answer.sentAt >= begun, answer.answeredAt <= end else { continue }
                        if (200...299).contains(answer.status) {
                            result.milliseconds.append(answer.milliseconds)
                        } else {
                            result.failed += 1
                        }
                    }
                    return result
                }
            }
            var sum = Result(seconds: limit / .seconds(1))
            for try await result in group {
                sum.milliseconds += result.milliseconds
                sum.failed += result.failed
            }
            return sum
        }
    }
}

/// The numbers below a bound, which many callers draw.
final class Turns: Sendable {
    private let count: Int
    private let drawn = Atomic<Int>(0)

    init(_ count: Int) { self.count = count }

    /// Returns a number that no other caller gets, or nil when all are drawn.
    func next() -> Int? {
        let number = drawn.wrappingAdd(1, ordering: .relaxed).oldValue
        return number < count ? number : nil
    }
}
