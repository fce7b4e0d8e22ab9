import Foundation
import Testing

/// The names in the pages that become stale first: variables, messages, log lines, metrics, links.
struct DocumentationTests {
    @Test func `docs/configuration.md has every variable that a service reads`() throws {
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

    @Test func `docs/messages.md has every exchange, queue and message`() throws {
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

    @Test func `a service writes every log line that the runbook names`() throws {
        let page = try Self.page("docs/runbook.md")
        let table = try #require(page.components(separatedBy: "\n## ").first { $0.hasPrefix("Log lines\n") })
        let lines = Self.firstCells(of: table) + page.matches(of: /[Ll]og (?:line )?`([^`]+)`/).map { String($0.output.1) }
        #expect(lines.count > 60)
        let code = try Self.productCode()
        for line in Set(lines).sorted() { #expect(code.contains("\"\(line)\""), "\(line)") }
    }

    @Test func `the runbook has every warning and error that a service logs`() throws {
        let page = try Self.page("docs/runbook.md")
        let lines = Set(try Self.productCode().matches(of: /\.(?:warning|error)\(\s*"([^"]+)"/).map { String($0.output.1) })
        #expect(lines.count > 50)
        for line in lines.sorted() { #expect(page.contains("`\(line)`"), "\(line)") }
    }

    @Test func `a service has every metric that the runbook names`() throws {
        let page = try Self.page("docs/runbook.md")
        let table = try #require(page.components(separatedBy: "\n## ").first { $0.hasPrefix("Metrics\n") })
        let names = Self.firstCells(of: table).filter { $0.contains("_") && $0.wholeMatch(of: /[a-z_]+/) != nil }
        #expect(names.count > 25)
        let code = try Self.productCode()
        for name in names { #expect(code.contains("\"\(name)\""), "\(name)") }
    }

    @Test func `every background job stands in docs/runbook.md`() throws {
        let page = try Self.page("docs/runbook.md")
        let jobs = try SourceTree.swift(in: "Services", "Shared").flatMap { file in
            file.lines.joined(separator: "\n").matches(of: /\bJob\(\s*"([a-z ]+)"/).map { String($0.output.1) }
        }
        #expect(jobs.count >= 9)
        for job in jobs { #expect(page.contains("| `\(job)` |"), "\(job)") }
    }

    @Test func `a link between pages leads to a page and a heading that exist`() throws {
        let pages = try SourceTree.files(in: ["docs"], endingWith: ".md")
        #expect(pages.count >= 8)
        for page in pages {
            let file = SourceTree.root.appending(path: page.path)
            for link in page.lines.joined(separator: "\n").matches(of: /\]\(([^)#:]*)(?:#([^)]*))?\)/) {
                let name = String(link.output.1)
                let target = name.isEmpty ? file : file.deletingLastPathComponent().appending(path: name)
                let path = target.path(percentEncoded: false)
                #expect(FileManager.default.fileExists(atPath: path), "\(page.path): \(name)")
                guard let anchor = link.output.2 else { continue }
                let headings = try Self.anchors(of: String(contentsOf: target, encoding: .utf8))
                #expect(headings.contains(String(anchor)), "\(page.path): #\(anchor)")
            }
        }
    }

    @Test func `every place in the repository that a page names exists`() throws {
        let pages = try SourceTree.files(in: ["docs"], endingWith: ".md").map(\.path) + ["README.md", "ARCHITECTURE.md"]
        var count = 0
        for page in pages {
            for place in try Self.page(page).matches(of: /`((?:Services|Shared|Tests|Tools|deploy|docs)\/[A-Za-z0-9_.\/-]+)`/) {
                let path = SourceTree.root.appending(path: String(place.output.1)).path(percentEncoded: false)
                #expect(FileManager.default.fileExists(atPath: path), "\(page): \(place.output.1)")
                count += 1
            }
        }
        #expect(count > 50)
    }

    @Test func `every suite that a page names exists`() throws {
        let code = try SourceTree.swift(in: "Tests").map { $0.lines.joined(separator: "\n") }.joined(separator: "\n")
        let suites = Set(code.matches(of: /(?:struct|class) (\w+Tests)\b/).map { String($0.output.1) })
        let files = try SourceTree.swift(in: "Tests").compactMap { $0.path.split(separator: "/").last?.dropLast(".swift".count) }
        for page in try SourceTree.files(in: ["docs"], endingWith: ".md") {
            for name in page.lines.joined(separator: "\n").matches(of: /`(?:[A-Za-z]+\/)*(\w+Tests)(?:\.swift)?`/) {
                #expect(suites.contains(String(name.output.1)) || files.contains(name.output.1), "\(page.path): \(name.output.1)")
            }
        }
    }

    @Test func `docs/servers.md shows the servers that the tests run`() throws {
        let page = try Self.page("docs/servers.md")
        for server in ["forwarding", "service"] {
            #expect(page.contains("```python\n\(try Self.page("Tests/System/servers/\(server).py"))```"), "\(server)")
        }
    }

    @Test func `prose of a page is wrapped`() throws {
        for page in try SourceTree.files(in: ["docs"], endingWith: ".md") {
            var isCode = false
            for (number, line) in page.lines.enumerated() {
                if line.contains("```") { isCode.toggle() }
                #expect(isCode || line.hasPrefix("|") || line.count <= 160, "\(page.path):\(number + 1)")
            }
        }
    }

    /// The names in code font in the first cells of a table's rows.
    private static func firstCells(of table: String) -> [String] {
        table.split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap { row in
            row.dropFirst(2).prefix { $0 != "|" }.matches(of: /`([^`]+)`/).map { String($0.output.1) }
        }
    }

    private static func productCode() throws -> String {
        try SourceTree.swift(in: "Services", "Shared").map { $0.lines.joined(separator: "\n") }.joined(separator: "\n")
    }

    /// The headings of a page, as a link names them.
    private static func anchors(of page: String) -> Set<String> {
        Set(
            page.split(separator: "\n").filter { $0.hasPrefix("#") }.map { line in
                line.drop { $0 == "#" || $0 == " " }.lowercased().filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
                    .replacing(" ", with: "-")
            })
    }

    private static func page(_ path: String) throws -> String {
        try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
    }
}
