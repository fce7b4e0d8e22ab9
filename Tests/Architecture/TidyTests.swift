import Foundation
import Testing

/// House rules that no compiler knows.
struct TidyTests {
    /// Spelt apart, so that this file does not offend against itself.
    static let banned = [
        "TO" + "DO", "FIX" + "ME", "Task" + ".sleep", "Thread" + ".sleep", "us" + "leep(", "fatalError(\"not" + " implemented",
        "#expect(" + "true)", "pk" + "ill", "kill" + "all",
    ]

    @Test func `no banned words`() throws {
        let files =
            try SourceTree.swift(in: "Services", "Shared", "Tests", "Tools")
            + SourceTree.files(in: ["deploy"], endingWith: ".sh")
        for file in files {
            for (number, line) in file.lines.enumerated() {
                for word in Self.banned where line.contains(word) { Issue.record("\(file.path):\(number + 1): \(word)") }
            }
        }
    }

    @Test func `what the compiler cannot check stands beside the sentence that makes it true`() throws {
        for file in try SourceTree.swift(in: "Services", "Shared") {
            for (number, line) in file.lines.enumerated()
            where line.contains("@unchecked " + "Sendable") || line.contains("nonisolated" + "(unsafe)") {
                if line.trimmingCharacters(in: .whitespaces).hasPrefix("//") { continue }
                let near = file.lines[max(0, number - 3)...min(file.lines.count - 1, number + 6)]
                #expect(near.contains { $0.contains("//") }, "\(file.path):\(number + 1)")
            }
        }
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

    @Test func `the map names places that exist`() throws {
        let map = try String(contentsOf: SourceTree.root.appending(path: "ARCHITECTURE.md"), encoding: .utf8)
        let places = map.matches(of: /`((?:Services|Shared|Tests|Tools|deploy|docs)\/[A-Za-z0-9_.\/-]+)`/).map { String($0.output.1) }
        #expect(places.count > 10)
        for place in places {
            #expect(FileManager.default.fileExists(atPath: SourceTree.root.appending(path: place).path(percentEncoded: false)), "\(place)")
        }
    }

    @Test func `a file is a thought long`() throws {
        for file in try SourceTree.swift(in: "Services", "Shared") {
            #expect(file.lines.count <= 520, "\(file.path) has \(file.lines.count) lines")
        }
    }
}
