import Foundation

/// The settings of a benchmark, which come from the environment.
enum BenchSetting {
    static func number(_ name: String, _ fallback: Int) throws -> Int {
        guard let text = ProcessInfo.processInfo.environment[name] else { return fallback }
        guard let number = Int(text), number > 0 else { throw BenchError(description: "\(name): '\(text)' is no positive number") }
        return number
    }

    /// Numbers separated by commas.
    static func numbers(_ name: String, _ fallback: [Int]) throws -> [Int] {
        guard let text = ProcessInfo.processInfo.environment[name] else { return fallback }
        return try text.split(separator: ",").map { part in
            guard let number = Int(part), number > 0 else { throw BenchError(description: "\(name): '\(part)' is no positive number") }
            return number
        }
    }
}
