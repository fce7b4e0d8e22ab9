import Testing

/// The allowed dependencies. The target graph in Package.swift holds most of them; these tests hold
/// the others.
struct ArrowTests {
    static let services = ["Auth", "Ledger", "LLMProxy", "Billing"]
    static let ioModules: Set = [
        "AMQP", "Bootstrap", "Curl", "EventLoop", "Foundation", "HTTP", "HTTPClient", "Lifecycle", "Outbox", "Postgres", "SMTP", "TLS",
        "UpstreamClient",
    ]

    /// Folders and files that decide and do nothing else.
    static let domain = [
        "Services/llm-proxy/Pricing/", "Services/llm-proxy/Endpoints/CallRequest.swift", "Services/llm-proxy/Endpoints/PromptReader.swift",
        "Services/llm-proxy/Endpoints/ResponseUsage.swift", "Services/llm-proxy/Calls/StreamMeter.swift",
        "Services/llm-proxy/Calls/StreamHold.swift", "Services/llm-proxy/Calls/CallBound.swift", "Services/llm-proxy/Calls/CallEnd.swift",
        "Services/llm-proxy/Calls/FundsLine.swift", "Services/llm-proxy/Calls/PromptSize.swift",
        "Services/llm-proxy/Calls/CallState.swift", "Services/llm-proxy/Calls/DeliveredUsage.swift",
        "Services/llm-proxy/Providers/Anthropic", "Services/llm-proxy/Providers/OpenAI",
        "Services/llm-proxy/Providers/ProviderAdapter.swift",
        "Services/llm-proxy/Providers/ProviderFailure.swift",
        "Services/llm-proxy/Providers/Spelling.swift",
        "Services/llm-proxy/Catalogue/Catalogue.swift", "Services/llm-proxy/Catalogue/ModelLimits.swift",
        "Services/llm-proxy/Catalogue/ProvidersFile.swift", "Services/llm-proxy/Catalogue/ModelList.swift", "Services/ledger/Engine/",
        "Services/ledger/Audit/LotReplay.swift",
        "Services/auth/Domain/", "Services/billing/Effects/", "Services/billing/Plans/", "Services/billing/Purchases/",
        "Services/billing/Refunds/",
        "Services/billing/StripeObjects/", "Services/billing/Subscriptions/", "Shared/Contracts/", "Shared/JSON/", "Shared/Multipart/",
        "Shared/SMTP/HeaderText.swift", "Shared/SMTP/Mail", "Shared/SSE/",
    ]

    @Test func `a service imports no other service`() throws {
        for file in try SourceTree.swift(in: "Services", "Shared") {
            let others = file.path.hasPrefix("Services/ledger/") ? Self.services : Self.services + ["LedgerCore"]
            #expect(Set(file.imports).isDisjoint(with: others), "\(file.path)")
        }
    }

    @Test func `each C library is imported by exactly one module, and its types stay behind it`() throws {
        var importers: [String: Set<String>] = [:]
        // The fuzzer decodes the bytes of the broker by librabbitmq itself.
        for file in try SourceTree.swift(in: "Services", "Shared", "Tests") where !file.path.hasPrefix("Tests/Fuzz/") {
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
            for file in try SourceTree.swift(in: "Services", "Shared") where !file.path.hasPrefix("Services/\(owner)/") {
                #expect(try Self.tables(of: owner, names, namedIn: file.lines.joined(separator: "\n")) == [], "\(file.path)")
            }
        }
    }

    @Test(arguments: [
        "SELECT 1 FROM account WHERE true", "SELECT 1\nFROM\n    account", "SELECT 1 FROM journal AS j, account a",
        "INSERT INTO account(account_id)", "UPDATE account SET posted = 0", "DELETE FROM ONLY account", "MERGE INTO t USING account",
        "SELECT 1 FROM t LEFT JOIN\n  account ON true", "TRUNCATE account", "LOCK TABLE account", "SELECT 1 FROM ledger.account",
        "SELECT 1 FROM \"account\"", "SELECT 1 FROM ledger.outbox",
    ])
    func `the test finds a table of another service in every spelling`(sql: String) throws {
        #expect(try Self.tables(of: "ledger", ["account"], namedIn: "\"\"\"\n\(sql)\n\"\"\"") != [])
    }

    @Test(arguments: ["SELECT 1 FROM accounts", "UPDATE t SET account = 1", "SELECT account FROM t", "// comes from account"])
    func `a column or another table is not mistaken for a table of another service`(sql: String) throws {
        #expect(try Self.tables(of: "ledger", ["account"], namedIn: sql) == [])
    }

    /// The places where SQL names one of the service's tables, or anything in its schema.
    private static func tables(of service: String, _ names: [String], namedIn text: String) throws -> [Substring] {
        let schema = service.replacing("-", with: "_")
        let listed = #"(?:\s+[\w."]+(?:\s+(?:AS\s+)?\w+)?\s*,)*"#
        let place = #"\b(?:FROM|INTO|UPDATE|JOIN|USING|TRUNCATE|TABLE)\b"# + listed + #"\s+(?:ONLY\s+)?"#
        let named = #"(?:"?\#(schema)"?\.\w+|(?:\w+\.)?"?(?:\#(names.joined(separator: "|")))"?)(?![\w.])"#
        return text.matches(of: try Regex<Substring>(place + named)).map(\.output)
    }

    private static func tablesCreated(in file: SourceTree.File) -> [String] {
        file.lines.compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 2, words[0] == "CREATE", words[1] == "TABLE" else { return nil }
            return String(words[2])
        }
    }
}
