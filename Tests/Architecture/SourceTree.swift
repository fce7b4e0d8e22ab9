import Foundation

/// The repository as text: what the architecture tests read.
struct SourceTree {
    struct File {
        /// The path from the repository's root: `Services/ledger/Routes.swift`.
        var path: String
        var lines: [String]

        /// Modules named in import lines, whatever the access level.
        var imports: [String] {
            lines.compactMap { line in
                let words = line.split(separator: " ")
                guard let keyword = words.firstIndex(of: "import"), keyword <= 2, words.count > keyword + 1,
                    words[..<keyword].allSatisfy({
                        ["package", "public", "internal", "private", "fileprivate", "@testable", "@preconcurrency"].contains($0)
                    })
                else { return nil }
                return String(words[keyword + 1].split(separator: ".")[0])
            }
        }

        /// `Shared/HTTP`, `Services/ledger`, `Tests/Shared/HTTP`: the directory of a target.
        var targetDirectory: String {
            let parts = path.split(separator: "/")
            let depth =
                parts.starts(with: ["Tests", "Shared"]) || parts.starts(with: ["Tests", "Services"])
                    || parts.starts(with: ["Tests", "Simulators"]) ? 3 : 2
            return parts.prefix(depth).joined(separator: "/")
        }
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL

    static func files(in directories: [String], endingWith suffix: String) throws -> [File] {
        try directories.flatMap { directory -> [File] in
            let base = root.appending(path: directory)
            guard let paths = FileManager.default.enumerator(atPath: base.path(percentEncoded: false)) else { return [] }
            return try paths.compactMap { $0 as? String }.filter { $0.hasSuffix(suffix) }.sorted().map { path in
                let text = try String(contentsOf: base.appending(path: path), encoding: .utf8)
                return File(path: "\(directory)/\(path)", lines: text.components(separatedBy: "\n"))
            }
        }
    }

    static func swift(in directories: String...) throws -> [File] { try files(in: directories, endingWith: ".swift") }
}
