import Glibc
import Values

/// The process's environment, read by name and type. An empty value counts as absent.
///
/// Every secret can come from a file instead: `NAME_FILE` names it, as container orchestrators mount secrets. What was read is
/// remembered only by the caller.
package struct Environment: Sendable {
    private let values: [String: String]

    package init(_ values: [String: String]) { self.values = values }

    package static func process() -> Environment {
        var values: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text)
            if let equals = pair.firstIndex(of: "=") { values[String(pair[..<equals])] = String(pair[pair.index(after: equals)...]) }
            entry += 1
        }
        return Environment(values)
    }

    // MARK: Text

    package func optionalString(_ name: String) -> String? {
        guard let value = values[name], !value.isEmpty else { return nil }
        return value
    }

    package func string(_ name: String) throws(ConfigurationError) -> String {
        guard let value = optionalString(name) else { throw .missing(name) }
        return value
    }

    package func string(_ name: String, default fallback: String) -> String { optionalString(name) ?? fallback }

    /// One of the names given.
    package func choice(_ name: String, default fallback: String, of choices: [String]) throws(ConfigurationError) -> String {
        let value = string(name, default: fallback)
        guard choices.contains(value) else {
            throw .malformed(name, found: value, expected: "one of " + choices.joined(separator: ", "))
        }
        return value
    }

    /// Separated by commas; white space around items and empty items are dropped.
    package func list(_ name: String, default fallback: [String] = []) -> [String] {
        guard let value = optionalString(name) else { return fallback }
        return value.split(separator: ",").map { trim($0) }.filter { !$0.isEmpty }
    }

    // MARK: Numbers

    package func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
        guard let value = optionalString(name) else { return fallback }
        guard let integer = Int(value), range.contains(integer) else {
            throw .malformed(name, found: value, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    /// `true` or `false`; also `1`, `0`, `yes`, `no`, `on`, `off`.
    package func bool(_ name: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
        guard let value = optionalString(name) else { return fallback }
        switch value.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw .malformed(name, found: value, expected: "true or false")
        }
    }

    /// A whole number with a unit: `250ms`, `30s`, `5m`, `2h`.
    package func duration(_ name: String, default fallback: Duration, in range: ClosedRange<Duration>) throws(ConfigurationError)
        -> Duration
    {
        guard let value = optionalString(name) else { return fallback }
        guard let duration = Self.duration(value), range.contains(duration) else {
            throw .malformed(
                name, found: value,
                expected: "a duration such as 250ms, 30s or 5m, from \(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))")
        }
        return duration
    }

    private static func duration(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits), number <= 1_000_000_000 else { return nil }
        switch text[digits.endIndex...] {
        case "ms": return .milliseconds(number)
        case "s": return .seconds(number)
        case "m": return .seconds(number * 60)
        case "h": return .seconds(number * 3_600)
        default: return nil
        }
    }

    private static func text(_ duration: Duration) -> String {
        duration.wholeMilliseconds % 1_000 == 0 ? "\(duration.wholeMilliseconds / 1_000)s" : "\(duration.wholeMilliseconds)ms"
    }

    // MARK: Addresses

    /// An absolute URL of one of the schemes, from `NAME` or the file that `NAME_FILE` names. It may hold a password: it is never
    /// shown.
    package func url(_ name: String, schemes: [String], default fallback: String? = nil) throws(ConfigurationError) -> URLText {
        guard let value = try optionalSecret(name)?.reveal() ?? fallback else { throw .missing(name) }
        guard let url = URLText(value), schemes.contains(url.scheme) else {
            throw .malformed(
                name, found: nil, expected: "a URL such as " + schemes.map { "\($0)://host:port/path" }.joined(separator: " or "))
        }
        return url
    }

    package func optionalURL(_ name: String, schemes: [String]) throws(ConfigurationError) -> URLText? {
        guard try optionalSecret(name) != nil else { return nil }
        return try url(name, schemes: schemes)
    }

    // MARK: Secrets

    /// `NAME`, or the content of the file named by `NAME_FILE` without its last newline. Both at once are refused.
    package func secret(_ name: String) throws(ConfigurationError) -> Secret {
        guard let secret = try optionalSecret(name) else { throw .missing("\(name) (or \(name)_FILE)") }
        return secret
    }

    package func optionalSecret(_ name: String) throws(ConfigurationError) -> Secret? {
        let fileVariable = "\(name)_FILE"
        guard let path = optionalString(fileVariable) else { return optionalString(name).map(Secret.init) }
        guard optionalString(name) == nil else { throw ConfigurationError(variable: name, problem: "is set, and so is \(fileVariable)") }
        guard var text = Self.readFile(path) else {
            throw ConfigurationError(variable: fileVariable, problem: "names a file that cannot be read: \(path)")
        }
        if text.last?.isNewline == true { text.removeLast() }
        guard !text.isEmpty else { throw ConfigurationError(variable: fileVariable, problem: "names an empty file: \(path)") }
        return Secret(text)
    }

    /// UTF-8, at most 64 KiB.
    private static func readFile(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4_096)
        while bytes.count <= 65_536 {
            let count = read(descriptor, &part, part.count)
            guard count >= 0 else { return nil }
            if count == 0 { return String(validating: bytes, as: UTF8.self) }
            bytes.append(contentsOf: part[..<count])
        }
        return nil
    }

    private func trim(_ text: Substring) -> String {
        let head = text.drop { $0.isWhitespace }
        return String(head.reversed().drop { $0.isWhitespace }.reversed())
    }
}

/// One line that names the variable, what was found (never a secret) and what is expected.
package struct ConfigurationError: Error, CustomStringConvertible, Equatable {
    package let variable: String
    private let problem: String

    package init(variable: String, problem: String) { (self.variable, self.problem) = (variable, problem) }

    package static func missing(_ name: String) -> ConfigurationError { ConfigurationError(variable: name, problem: "is not set") }

    /// - Parameter found: nil where the value may hold a secret.
    package static func malformed(_ name: String, found: String?, expected: String) -> ConfigurationError {
        let shown = found.map { " '\(String($0.prefix(80)).filter { !$0.isNewline })'" } ?? ""
        return ConfigurationError(variable: name, problem: "is malformed\(shown): expected \(expected)")
    }

    package var description: String { "\(variable) \(problem)" }
}

/// Text that does not print. ``reveal()`` is the one way to it, and easy to search for.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let text: String

    package init(_ text: String) { self.text = text }

    package func reveal() -> String { text }

    package var description: String { "<redacted>" }
    package var debugDescription: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
