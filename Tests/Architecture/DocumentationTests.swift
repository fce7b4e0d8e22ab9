import Foundation
import Testing

/// What the pages say about names can be checked; these are the names that go stale first.
struct DocumentationTests {
    @Test func `every variable a service reads stands in docs/configuration.md`() throws {
        let page = try Self.page("docs/configuration.md")
        var found: Set<String> = []
        for file in try SourceTree.swift(in: "Services", "Shared") {
            for line in file.lines {
                for name in line.matches(of: /nvironment(?:\.[a-zA-Z]+\(|, )"([A-Z][A-Z0-9_]+)"/) { found.insert(String(name.output.1)) }
            }
        }
        #expect(found.isSuperset(of: ["PUBLIC_URL", "TOKEN_TTL", "WEB_LLM_MIN_CREDITS", "HOLD_TTL_MAX"]))
        for name in found.sorted() { #expect(page.contains("`\(name)`"), "\(name)") }
    }

    @Test func `every exchange, queue and message stands in docs/messages.md`() throws {
        let page = try Self.page("docs/messages.md")
        var names: [Substring] = []
        for file in try SourceTree.swift(in: "Shared/Contracts") {
            let text = file.lines.joined(separator: "\n")
            names += text.matches(of: /(?:Exchange|Queue)\(\s*name: "([^"\\]+)"/).map(\.output.1)
            names += text.matches(of: /static let name = "([^"]+)"/).map(\.output.1)
        }
        #expect(names.count >= 30)
        for name in names { #expect(page.contains("`\(name)`"), "\(name)") }
    }

    @Test func `links between pages lead somewhere`() throws {
        let pages = try SourceTree.files(in: ["docs"], endingWith: ".md")
        #expect(pages.count >= 8)
        for page in pages {
            let folder = SourceTree.root.appending(path: page.path).deletingLastPathComponent()
            for link in page.lines.joined(separator: "\n").matches(of: /\]\(([^)#:]+)(?:#[^)]*)?\)/) {
                let target = folder.appending(path: String(link.output.1)).path(percentEncoded: false)
                #expect(FileManager.default.fileExists(atPath: target), "\(page.path): \(link.output.1)")
            }
        }
    }

    private static func page(_ path: String) throws -> String {
        try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
    }
}
