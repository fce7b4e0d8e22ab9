import Foundation
import Testing

/// House rules that no compiler knows.
struct TidyTests {
    /// Spelt apart, so that this file does not offend against itself.
    static let banned = [
        "TO" + "DO", "FIX" + "ME", "Task" + ".sleep", "Thread" + ".sleep", "us" + "leep(", "fatalError(\"not" + " implemented",
        "#expect(" + "true)", "pk" + "ill", "kill" + "all",
    ]

    @Test func `no file has a banned word`() throws {
        let files =
            try SourceTree.swift(in: "Services", "Shared", "Tests", "Tools")
            + SourceTree.files(in: ["deploy"], endingWith: ".sh")
        for file in files {
            for (number, line) in file.lines.enumerated() {
                for word in Self.banned where line.contains(word) { Issue.record("\(file.path):\(number + 1): \(word)") }
            }
        }
    }

    @Test func `every unchecked promise to the compiler has its reason next to it`() throws {
        for file in try SourceTree.swift(in: "Services", "Shared") {
            for number in Self.withoutReason(file.lines) { Issue.record("\(file.path):\(number)") }
        }
    }

    @Test(arguments: [
        ("final class A: @unchecked Sendable {\n    // @unchecked Sendable: confined to its loop.", true),
        ("final class A: @unchecked Sendable {\n    // @unchecked Sendable:\n    // Confined to its loop.", false),
        ("/// A thing.\nfinal class A: @unchecked Sendable {\n    let a = 1  // one", false),
        ("    // Confined to the loop, like this.\n    nonisolated(unsafe) let a = b", true),
        ("    /// A thing.\n    nonisolated(unsafe) let a = b", false),
    ])
    func `a comment nearby is not a reason`(text: String, isReason: Bool) {
        #expect(Self.withoutReason(text.components(separatedBy: "\n")).isEmpty == isReason)
    }

    /// The numbers of the lines that promise something to the compiler without saying why: the
    /// reason of `@unchecked Sendable` is the next line, that of the other the line before.
    private static func withoutReason(_ lines: [String]) -> [Int] {
        func text(_ index: Int) -> String { lines.indices.contains(index) ? lines[index].trimmingCharacters(in: .whitespaces) : "" }
        return lines.indices.filter { index in
            guard !text(index).hasPrefix("//") else { return false }
            if text(index).contains("@unchecked " + "Sendable") {
                return text(index + 1).wholeMatch(of: /\/\/ @unchecked Sendable: .{10,}/) == nil
            }
            return text(index).contains("nonisolated" + "(unsafe)") && text(index - 1).wholeMatch(of: /\/\/ .{10,}/) == nil
        }.map { $0 + 1 }
    }

    /// A reader who sees only the comment must understand it, and know who acts.
    @Test func `no comment opens with a fragment or leaves its actor out`() throws {
        let opening = /^\s*\/\/+ (What|Of|Whose|Who|Until|As|For|So|Those|By|From)\b/
        let actor = /^\s*\/\/.*\b(nobody|somebody|anybody|whoever|anew|beside)\b/.ignoresCase()
        for file in try SourceTree.swift(in: "Services", "Shared", "Tests") {
            for (number, line) in file.lines.enumerated() where line.contains(opening) || line.contains(actor) {
                Issue.record("\(file.path):\(number + 1): \(line)")
            }
        }
    }

    /// A reader who sees only the name must understand it.
    @Test func `no test name opens with a fragment or leaves its actor out`() throws {
        for file in try SourceTree.swift(in: "Tests") {
            for (number, line) in file.lines.enumerated() {
                for name in line.matches(of: /func `([^`]+)`/) where !Self.isPlain(name.output.1) {
                    Issue.record("\(file.path):\(number + 1): \(name.output.1)")
                }
            }
        }
    }

    @Test(arguments: [
        ("a token expires to the second", true), ("somewhat longer names are cut", true), ("the whole history is read", true),
        ("what is used stays", false), ("Of two one is kept", false), ("a value that nobody reads is kept", false),
        ("a crossing is told once", false), ("an unused key goes", false), ("a user loses his key", false),
    ])
    func `the test finds a name that is not plain`(name: String, isPlain: Bool) { #expect(Self.isPlain(name[...]) == isPlain) }

    private static func isPlain(_ name: Substring) -> Bool {
        let opening = /^(what|of|whose|who|until|as|for|so|those|by|from)\b/.ignoresCase()
        let word = /\b(nobody|somebody|anybody|everybody|whoever|anew|beside|his|told|tells|goes|comes to)\b/.ignoresCase()
        return !name.contains(opening) && !name.contains(word)
    }

    /// A busy machine breaks a bound on time, and no bug has to be there. How fast something is, a
    /// benchmark tells.
    @Test func `no test expects something to happen within a time`() throws {
        let bound = try Self.timeBound()
        for file in try SourceTree.swift(in: "Tests") {
            for (number, line) in file.lines.enumerated() where line.contains("#") && line.contains(bound) {
                Issue.record("\(file.path):\(number + 1): \(line)")
            }
        }
    }

    @Test(arguments: [
        ("ContinuousClock.now - started < .seconds(2)", true), ("MonotonicInstant.current() < deadline", true),
        ("took <= .milliseconds(500)", true), ("loop.now - before < .seconds(1), \"late\"", true),
        ("clock_gettime(CLOCK_REALTIME, &time) == 0 && .seconds(1) > took", true),
        ("took >= .milliseconds(100)", false), ("wait(8, after: 5) == .seconds(3)", false), ("count < 5", false),
        ("ledger.now == start + .seconds(60)", false),
    ])
    func `the test finds a bound on time`(condition: String, isBound: Bool) throws {
        let bound = try Self.timeBound()
        for macro in ["expect", "require"] { #expect("        try #\(macro)(\(condition))".contains(bound) == isBound) }
    }

    private static func timeBound() throws -> Regex<AnyRegexOutput> {
        let time = #"(ContinuousClock|SuspendingClock|MonotonicInstant\.current|\bloop\.now|\b(took|elapsed|duration)\b)"#
        let length = #"\.(seconds|milliseconds|microseconds|nanoseconds)\("#
        return try Regex(#"#(expect|require)\((.*\#(time).* <=? |.*\#(length)[^)]*\) >=? .*\#(time))"#)
    }

    @Test func `a migration opens with its reason`() throws {
        let files = try SourceTree.files(in: ["Services", "Shared"], endingWith: ".sql")
        #expect(files.count >= 4)
        for file in files {
            #expect(file.lines[0].hasPrefix("-- ") && file.lines[0].count > 20, "\(file.path)")
            let name = file.path.split(separator: "/").last ?? ""
            #expect(name.prefix(4).allSatisfy(\.isNumber) && name.dropFirst(4).hasPrefix("_"), "\(file.path)")
        }
    }

    @Test func `nine files in ten are a thought of at most 250 lines, and none is longer than 500`() throws {
        let files = try SourceTree.swift(in: "Services", "Shared")
        let long = files.filter { $0.lines.count > 251 }
        #expect(long.count * 10 <= files.count, "\(long.map(\.path))")
        for file in long { #expect(file.lines.count <= 501, "\(file.path) has \(file.lines.count - 1) lines") }
    }
}
