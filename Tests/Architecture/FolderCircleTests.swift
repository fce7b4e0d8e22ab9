import Testing

/// The folders of a service form layers: no folder needs one that needs it.
struct FolderCircleTests {
    @Test(arguments: ["auth", "ledger", "llm-proxy", "billing"])
    func `the folders of a service have no circle`(service: String) throws {
        let files = try SourceTree.swift(in: "Services/\(service)")
        #expect(!files.isEmpty)
        #expect(FolderArrows(files.map { ($0.path, $0.lines) }).circle == nil)
    }

    @Test func `a circle of two folders is found, and words in comments and texts make no circle`() {
        let shop = ("Services/x/Shop/Shop.swift", ["struct Shop {", "    var till: Till", "}"])
        let till = ("Services/x/Till/Till.swift", ["// Shop", "struct Till {", #"    let name = "Shop""#, "}"])
        #expect(FolderArrows([shop, till]).circle == nil)
        let tillOfShop = ("Services/x/Till/Till.swift", ["struct Till {", "    var shop: Shop", "}"])
        #expect(FolderArrows([shop, tillOfShop]).circle == ["Shop", "Till", "Shop"])
    }
}

/// The folders of a service, and the folders whose types each of them names. A file next to the folders
/// counts as a folder of its name.
private struct FolderArrows {
    private var arrows: [String: Set<String>] = [:]

    init(_ files: [(path: String, lines: [String])]) {
        var homes: [String: String] = [:]
        for file in files {
            for line in file.lines {
                if let found = line.prefixMatch(of: #/(?:package )?(?:final )?(?:struct|class|enum|protocol|actor) (?<name>\w+)/#) {
                    homes[String(found.name)] = Self.folder(of: file.path)
                }
            }
        }
        for file in files {
            let folder = Self.folder(of: file.path)
            for line in file.lines {
                let code = line.replacing(#/"(?:\\.|[^"\\])*"|\.\w+/#, with: "").split(
                    separator: "//", maxSplits: 1, omittingEmptySubsequences: false)
                for word in code[0].split(whereSeparator: { !$0.isLetter && !$0.isNumber && $0 != "_" }) {
                    if let home = homes[String(word)], home != folder { arrows[folder, default: []].insert(home) }
                }
            }
        }
    }

    private static func folder(of path: String) -> String {
        let name = path.split(separator: "/")[2]
        return name.hasSuffix(".swift") ? String(name.dropLast(6)) : String(name)
    }

    /// The folders of a circle in its order, the first one again at the end. Nil without a circle.
    var circle: [String]? {
        var done: Set<String> = []
        var way: [String] = []
        func search(_ folder: String) -> [String]? {
            if let start = way.firstIndex(of: folder) { return way[start...] + [folder] }
            guard done.insert(folder).inserted else { return nil }
            way.append(folder)
            defer { way.removeLast() }
            for next in arrows[folder, default: []].sorted() {
                if let found = search(next) { return found }
            }
            return nil
        }
        for folder in arrows.keys.sorted() {
            if let found = search(folder) { return found }
        }
        return nil
    }
}
