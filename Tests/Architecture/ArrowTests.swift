import Testing

/// Who may know whom. The target graph in Package.swift holds most arrows; these hold what it cannot say.
struct ArrowTests {
    static let services = ["Auth", "Ledger", "LLMProxy", "Billing"]
    static let ioModules: Set = [
        "AMQP", "Bootstrap", "EventLoop", "Foundation", "HTTP", "HTTPClient", "Lifecycle", "Outbox", "Postgres", "TLS", "UpstreamClient",
    ]

    /// Folders and files that decide and do nothing else.
    static let domain = [
        "Services/llm-proxy/Pricing/", "Services/llm-proxy/Chat/ChatRequest.swift", "Services/llm-proxy/Chat/StreamMeter.swift",
        "Services/llm-proxy/Chat/RunningHold.swift", "Services/llm-proxy/Chat/AnswerUsage.swift", "Services/llm-proxy/Chat/CallBound.swift",
        "Services/llm-proxy/Chat/CallEnd.swift", "Services/llm-proxy/Chat/FundsLine.swift", "Services/llm-proxy/Chat/PromptSize.swift",
        "Services/llm-proxy/Catalogue/Catalogue.swift", "Services/llm-proxy/Catalogue/ModelLimits.swift",
        "Services/llm-proxy/Catalogue/ProvidersFile.swift", "Services/ledger/Engine/", "Services/ledger/Audit/LotReplay.swift",
        "Services/auth/Domain/", "Shared/Contracts/", "Shared/JSON/",
    ]

    @Test func `a service imports no other service`() throws {
        for file in try SourceTree.swift(in: "Services", "Shared") {
            #expect(Set(file.imports).isDisjoint(with: Self.services), "\(file.path)")
        }
    }

    @Test func `each C library is imported by exactly one module, and its types stay behind it`() throws {
        var importers: [String: Set<String>] = [:]
        for file in try SourceTree.swift(in: "Services", "Shared", "Tests") {
            for module in file.imports where Self.isCModule(module) { importers[module, default: []].insert(file.targetDirectory) }
            for line in file.lines where line.contains("OpaquePointer") {
                #expect(!line.contains("package ") && !line.contains("public "), "\(file.path): \(line)")
            }
        }
        for (module, directories) in importers { #expect(directories.count == 1, "\(module) is imported by \(directories.sorted())") }
        #expect(importers.count == 8)
    }

    private static func isCModule(_ module: String) -> Bool {
        module.hasPrefix("C") && module.dropFirst().first?.isUppercase == true
    }

    @Test func `domain files do no I/O`() throws {
        let files = try SourceTree.swift(in: "Services", "Shared").filter { file in Self.domain.contains { file.path.hasPrefix($0) } }
        for place in Self.domain { #expect(files.contains { $0.path.hasPrefix(place) }, "\(place) has gone") }
        for file in files { #expect(Set(file.imports).isDisjoint(with: Self.ioModules), "\(file.path) imports \(file.imports)") }
    }

    @Test func `a table is named by the migrations and the store of its own service only`() throws {
        let tables = try ["auth", "ledger", "llm-proxy", "billing"].map { service in
            (service, try SourceTree.files(in: ["Services/\(service)/Migrations"], endingWith: ".sql").flatMap(Self.tablesCreated))
        }
        for (owner, names) in tables {
            #expect(!names.isEmpty, "\(owner)")
            for file in try SourceTree.swift(in: "Services") where !file.path.hasPrefix("Services/\(owner)/") {
                for name in names {
                    #expect(!file.lines.contains { $0.contains("FROM \(name) ") || $0.contains("INTO \(name) ") }, "\(file.path): \(name)")
                }
            }
        }
    }

    private static func tablesCreated(in file: SourceTree.File) -> [String] {
        file.lines.compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 2, words[0] == "CREATE", words[1] == "TABLE" else { return nil }
            return String(words[2])
        }
    }
}
