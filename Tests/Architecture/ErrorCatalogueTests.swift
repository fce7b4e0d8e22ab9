import Foundation
import HTTP
import Testing

/// The catalogue of errors, compared with its page and with the code that uses it.
struct ErrorCatalogueTests {
    /// The codes that only nginx answers.
    private static let answeredByEdge: Set<ErrorCode> = [.gatewayTimeout]

    @Test func `docs/errors.md has every code with its status, type and retry`() throws {
        let page = try String(contentsOf: SourceTree.root.appending(path: "docs/errors.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `") }
        #expect(rows.count == ErrorCode.allCases.count)
        for (row, code) in zip(rows, ErrorCode.allCases) {
            let facts = "| `\(code.rawValue)` | \(code.status) | `\(code.type)` | \(code.isRetriable ? "yes" : "no") | "
            #expect(row.hasPrefix(facts) && row.count > facts.count + 10, "\(row)")
        }
    }

    @Test func `every code is used outside the catalogue`() throws {
        let catalogue = ["Shared/HTTP/ErrorCode.swift", "Shared/HTTP/Problem.swift"]
        let files = try SourceTree.swift(in: "Services", "Shared").filter { !catalogue.contains($0.path) }
        #expect(files.count > 100)
        let names = Set(files.flatMap(\.lines).flatMap { $0.split { !$0.isLetter && $0 != "." } }.flatMap { $0.split(separator: ".") })
        for code in ErrorCode.allCases where !Self.answeredByEdge.contains(code) { #expect(names.contains("\(code)"), "\(code)") }
    }

    @Test func `nginx answers with codes of the catalogue, with their statuses and types`() throws {
        let template = SourceTree.root.appending(path: "deploy/nginx/edge.conf.template")
        let text = try String(contentsOf: template, encoding: .utf8)
        let answers = text.matches(of: /return (\d+) '\{"error":\{"message":"[^"]*","type":"(\w+)","code":"(\w+)"/)
        #expect(answers.count >= 10)
        for answer in answers {
            let code = try #require(ErrorCode(rawValue: String(answer.output.3)), "\(answer.output.3)")
            #expect(Int(answer.output.1) == code.status, "\(code)")
            #expect(answer.output.2 == code.type, "\(code)")
        }
        for code in Self.answeredByEdge { #expect(answers.contains { $0.output.3 == code.rawValue }) }
    }
}
