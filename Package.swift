// swift-tools-version:6.2
import PackageDescription

// Targets stand in dependency order: C libraries, shared modules, services, tools, tests.
// An arrow that is missing here fails the build (`make check` runs with explicit imports required).

let package = Package(
    name: "smartspec-gateway",
    products: [
        .executable(name: "auth", targets: ["Auth"]),
        .executable(name: "ledger", targets: ["Ledger"]),
        .executable(name: "llm-proxy", targets: ["LLMProxy"]),
        .executable(name: "billing", targets: ["Billing"]),
        .executable(name: "provider-simulator", targets: ["ProviderSimulator"]),
        .executable(name: "bench", targets: ["Bench"]),
        .executable(name: "ledger-store-load", targets: ["LedgerStoreLoad"]),
        .executable(name: "soak", targets: ["Soak"]),
    ],
    targets: [
        // C libraries: a module map and a shim each, imported by exactly one Swift module.
        .systemLibrary(name: "CLinux", path: "Shared/C/CLinux"),
        .systemLibrary(name: "CHTTPParser", path: "Shared/C/CHTTPParser", providers: [.apt(["libhttp-parser-dev"])]),
        .systemLibrary(name: "CSodium", path: "Shared/C/CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "COpenSSL", path: "Shared/C/COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "COpenSSLTLS", path: "Shared/C/COpenSSLTLS", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCurl", path: "Shared/C/CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CPostgres", path: "Shared/C/CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CRabbitMQ", path: "Shared/C/CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),

        // Values and bytes: no I/O.
        .target(name: "Text", path: "Shared/Text"),
        .target(name: "JSON", dependencies: ["Text"], path: "Shared/JSON"),
        .target(name: "SSE", dependencies: ["Text"], path: "Shared/SSE"),
        .target(name: "RateLimit", dependencies: ["Values"], path: "Shared/RateLimit"),
        .target(name: "Values", dependencies: ["Text"], path: "Shared/Values"),
        .target(name: "Contracts", dependencies: ["JSON", "Text", "Values"], path: "Shared/Contracts"),
        .target(name: "Configuration", dependencies: ["Text", "Values"], path: "Shared/Configuration"),
        .target(name: "Crypto", dependencies: ["COpenSSL", "CSodium", "Text"], path: "Shared/Crypto"),

        // Runtime.
        .target(name: "EventLoop", dependencies: ["CLinux", "Values"], path: "Shared/EventLoop"),
        .target(name: "Telemetry", dependencies: ["JSON", "Text", "Values"], path: "Shared/Telemetry"),
        .target(name: "Lifecycle", dependencies: ["EventLoop", "Telemetry"], path: "Shared/Lifecycle"),

        // Wires.
        .target(name: "HTTPWire", dependencies: ["CHTTPParser", "Text"], path: "Shared/HTTPWire"),
        .target(name: "Multipart", dependencies: ["HTTPWire"], path: "Shared/Multipart"),
        .target(name: "Uploads", path: "Shared/Uploads"),
        .target(
            name: "HTTP", dependencies: ["EventLoop", "HTTPWire", "JSON", "Telemetry", "Text", "Uploads", "Values"], path: "Shared/HTTP"),
        .target(name: "TLS", dependencies: ["COpenSSLTLS"], path: "Shared/TLS"),
        .target(
            name: "UpstreamClient", dependencies: ["EventLoop", "HTTPWire", "TLS", "Telemetry", "Uploads"], path: "Shared/UpstreamClient"),
        .target(name: "Curl", dependencies: ["CCurl", "EventLoop"], path: "Shared/Curl"),
        .target(name: "HTTPClient", dependencies: ["Curl", "EventLoop"], path: "Shared/HTTPClient"),
        .target(
            name: "SMTP", dependencies: ["Configuration", "Crypto", "Curl", "EventLoop", "Text", "Values"], path: "Shared/SMTP"),
        .target(name: "Postgres", dependencies: ["CPostgres", "EventLoop", "Telemetry", "Values"], path: "Shared/Postgres"),
        .target(name: "AMQP", dependencies: ["CRabbitMQ", "EventLoop", "Telemetry", "Text"], path: "Shared/AMQP"),
        .target(name: "Messaging", dependencies: ["AMQP", "Contracts", "Telemetry", "Values"], path: "Shared/Messaging"),
        .target(name: "Jobs", dependencies: ["EventLoop", "Postgres", "Telemetry", "Values"], path: "Shared/Jobs"),
        .target(
            name: "Outbox",
            dependencies: ["AMQP", "Contracts", "EventLoop", "JSON", "Jobs", "Messaging", "Postgres", "Telemetry", "Values"],
            path: "Shared/Outbox", exclude: ["Migrations"]),

        // What every service starts with.
        .target(
            name: "Identity",
            dependencies: [
                "AMQP", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPWire", "JSON", "Messaging", "Telemetry", "Values",
            ],
            path: "Shared/Identity"),
        .target(
            name: "Web",
            dependencies: [
                "AMQP", "Configuration", "Contracts", "Crypto", "HTTP", "HTTPWire", "Identity", "Messaging", "Telemetry", "Text", "Values",
            ],
            path: "Shared/Web",
            resources: [.embedInCode("Assets/page.css"), .embedInCode("Assets/page.js"), .embedInCode("Assets/icon.svg")]),
        .target(
            name: "Bootstrap",
            dependencies: [
                "AMQP", "Configuration", "Contracts", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity", "JSON", "Jobs",
                "Lifecycle", "Outbox", "Postgres", "Telemetry",
            ],
            path: "Shared/Bootstrap"),

        // Services: none imports another.
        // The ledger's engine and store, which its benchmark and its soak use too.
        .target(
            name: "LedgerCore",
            dependencies: ["AMQP", "Contracts", "EventLoop", "JSON", "Messaging", "Outbox", "Postgres", "Telemetry", "Values"],
            path: "Services/ledger",
            exclude: [
                "Adjustment.swift", "Audit", "LedgerService.swift", "LedgerSettings.swift", "Messages", "Messages.swift", "Migrations",
                "Months", "Pages",
                "Reads", "Routes", "Routes.swift", "Upkeep", "openapi.json",
            ],
            sources: ["Engine", "Store"]),
        .executableTarget(
            name: "Auth",
            dependencies: [
                "AMQP", "Bootstrap", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity",
                "JSON", "Jobs", "Lifecycle", "Messaging", "Outbox", "Postgres", "RateLimit", "SMTP", "Telemetry", "Text", "Values", "Web",
            ],
            path: "Services/auth", exclude: ["Migrations", "openapi.json"]),
        .executableTarget(
            name: "Ledger",
            dependencies: [
                "AMQP", "Bootstrap", "Configuration", "Contracts", "EventLoop", "HTTP", "HTTPWire", "Identity", "JSON", "Jobs",
                "LedgerCore", "Lifecycle", "Messaging", "Outbox", "Postgres", "Telemetry", "Text", "Values", "Web",
            ],
            path: "Services/ledger", exclude: ["Engine", "Migrations", "Store", "openapi.json"]),
        .executableTarget(
            name: "LLMProxy",
            dependencies: [
                "AMQP", "Bootstrap", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPWire", "Identity", "JSON",
                "Jobs", "Lifecycle", "Messaging", "Multipart", "Outbox", "Postgres", "SSE", "Telemetry", "Text", "Uploads",
                "UpstreamClient",
                "Values", "Web",
            ],
            path: "Services/llm-proxy", exclude: ["Migrations", "models.json", "openapi.json"]),
        .executableTarget(
            name: "Billing",
            dependencies: [
                "AMQP", "Bootstrap", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity",
                "Jobs", "JSON", "Lifecycle", "Messaging", "Outbox", "Postgres", "RateLimit", "Telemetry", "Text", "Values", "Web",
            ],
            path: "Services/billing", exclude: ["Migrations", "openapi.json"]),

        // Simulators.
        .executableTarget(
            name: "ProviderSimulator",
            dependencies: ["Configuration", "EventLoop", "HTTP", "HTTPWire", "JSON", "Lifecycle", "Multipart", "Telemetry"],
            path: "Tests/Simulators/provider", exclude: ["Tests"]),

        .executableTarget(
            name: "Bench",
            dependencies: [
                "AMQP", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity", "JSON", "Outbox", "Postgres",
                "Telemetry", "UpstreamClient", "Values",
            ],
            path: "Tests/Benchmarks",
            exclude: [
                "auth.sh", "bodies.sh", "faults.sh", "ledger.sh", "outbox.sh", "pages.sh", "proxy.sh", "stack.sh", "StoreLoad",
                "versions.sh",
            ]),
        .executableTarget(
            name: "LedgerStoreLoad",
            dependencies: ["Contracts", "EventLoop", "JSON", "LedgerCore", "Postgres", "Telemetry", "Values"],
            path: "Tests/Benchmarks/StoreLoad"),

        // Compiles the tests' oracle a second time, through links, because tests cannot be imported.
        .executableTarget(
            name: "Soak",
            dependencies: ["AMQP", "Contracts", "EventLoop", "HTTPClient", "JSON", "LedgerCore", "Postgres", "Telemetry", "Values"],
            path: "Tests/Soak", exclude: ["soak.sh"]),

        // Tests mirror the tree.
        .target(
            name: "TestSupport", dependencies: ["EventLoop", "HTTP", "HTTPWire", "JSON", "Postgres", "Telemetry"], path: "Tests/Support"),
        .testTarget(name: "EventLoopTests", dependencies: ["EventLoop", "TestSupport"], path: "Tests/Shared/EventLoop"),
        .testTarget(name: "TextTests", dependencies: ["Text"], path: "Tests/Shared/Text"),
        .testTarget(name: "JSONTests", dependencies: ["JSON", "TestSupport"], path: "Tests/Shared/JSON"),
        .testTarget(name: "RateLimitTests", dependencies: ["RateLimit", "Values"], path: "Tests/Shared/RateLimit"),
        .testTarget(name: "SSETests", dependencies: ["SSE", "TestSupport"], path: "Tests/Shared/SSE"),
        .testTarget(name: "ValuesTests", dependencies: ["TestSupport", "Values"], path: "Tests/Shared/Values"),
        .testTarget(name: "ContractsTests", dependencies: ["Contracts", "JSON", "TestSupport", "Values"], path: "Tests/Shared/Contracts"),
        .testTarget(name: "ConfigurationTests", dependencies: ["Configuration", "TestSupport"], path: "Tests/Shared/Configuration"),
        .testTarget(name: "CryptoTests", dependencies: ["Crypto", "EventLoop", "TestSupport"], path: "Tests/Shared/Crypto"),
        .testTarget(
            name: "TelemetryTests", dependencies: ["Telemetry", "JSON", "EventLoop", "TestSupport"], path: "Tests/Shared/Telemetry"),
        .testTarget(
            name: "LifecycleTests", dependencies: ["Lifecycle", "EventLoop", "Telemetry", "TestSupport"], path: "Tests/Shared/Lifecycle"),
        .testTarget(name: "HTTPWireTests", dependencies: ["HTTPWire", "TestSupport"], path: "Tests/Shared/HTTPWire"),
        .testTarget(
            name: "MultipartTests", dependencies: ["HTTPWire", "Multipart", "TestSupport", "Text"], path: "Tests/Shared/Multipart",
            exclude: ["python_multipart.txt", "reference.py"]),
        .testTarget(name: "UploadsTests", dependencies: ["TestSupport", "Uploads"], path: "Tests/Shared/Uploads"),
        .testTarget(
            name: "HTTPTests", dependencies: ["HTTP", "EventLoop", "HTTPWire", "JSON", "Telemetry", "TestSupport", "Uploads"],
            path: "Tests/Shared/HTTP"),
        .testTarget(
            name: "UpstreamClientTests",
            dependencies: ["UpstreamClient", "EventLoop", "HTTP", "HTTPWire", "TLS", "Telemetry", "TestSupport", "Uploads"],
            path: "Tests/Shared/UpstreamClient"),
        .testTarget(
            name: "HTTPClientTests", dependencies: ["HTTPClient", "EventLoop", "HTTP", "Telemetry", "TestSupport"],
            path: "Tests/Shared/HTTPClient"),
        .testTarget(
            name: "SMTPTests",
            dependencies: ["Configuration", "EventLoop", "SMTP", "TestSupport", "Values"],
            path: "Tests/Shared/SMTP"),
        .testTarget(
            name: "MailSinkTests", dependencies: ["EventLoop", "HTTPClient", "JSON", "TestSupport"],
            path: "Tests/Simulators/mail/Tests"),
        .testTarget(
            name: "StripeSimulatorTests", dependencies: ["TestSupport"],
            path: "Tests/Simulators/stripe/Tests",
            exclude: ["harness.py", "requirements.txt", "shapes.py", "stripe_package.py"]),
        .testTarget(
            name: "ProviderSimulatorTests",
            dependencies: ["ProviderSimulator", "EventLoop", "HTTP", "HTTPWire", "JSON", "Telemetry", "UpstreamClient"],
            path: "Tests/Simulators/provider/Tests"),
        .testTarget(
            name: "PostgresTests", dependencies: ["Contracts", "EventLoop", "Postgres", "Telemetry", "TestSupport", "Values"],
            path: "Tests/Shared/Postgres", exclude: ["Migrations"]),
        .testTarget(
            name: "AMQPTests", dependencies: ["AMQP", "EventLoop", "Telemetry", "TestSupport"], path: "Tests/Shared/AMQP"),
        .testTarget(
            name: "MessagingTests", dependencies: ["AMQP", "Contracts", "EventLoop", "Messaging", "Telemetry", "TestSupport", "Values"],
            path: "Tests/Shared/Messaging"),
        .testTarget(
            name: "JobsTests", dependencies: ["Jobs", "EventLoop", "Postgres", "Telemetry", "TestSupport"], path: "Tests/Shared/Jobs"),
        .testTarget(
            name: "OutboxTests",
            dependencies: [
                "Outbox", "AMQP", "Contracts", "EventLoop", "JSON", "Messaging", "Postgres", "Telemetry", "TestSupport", "Values",
            ],
            path: "Tests/Shared/Outbox", exclude: ["Migrations"]),
        .testTarget(
            name: "IdentityTests",
            dependencies: [
                "AMQP", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPWire", "Identity", "JSON", "Telemetry",
                "TestSupport", "Values",
            ],
            path: "Tests/Shared/Identity"),
        .testTarget(
            name: "WebTests",
            dependencies: ["EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity", "Telemetry", "TestSupport", "Values", "Web"],
            path: "Tests/Shared/Web"),
        .executableTarget(
            name: "bootstrap-probe", dependencies: ["Bootstrap", "Configuration", "EventLoop", "HTTP", "HTTPWire", "Telemetry"],
            path: "Tests/Shared/Bootstrap/Probe"),
        .testTarget(
            name: "BootstrapTests",
            dependencies: [
                "Bootstrap", "Configuration", "EventLoop", "HTTPClient", "JSON", "Postgres", "Telemetry", "TestSupport", "bootstrap-probe",
            ],
            path: "Tests/Shared/Bootstrap", exclude: ["Migrations", "Probe"]),
        .testTarget(
            name: "AuthTests",
            dependencies: [
                "Auth", "AMQP", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity", "JSON",
                "Jobs", "Messaging", "Outbox", "Postgres", "Telemetry", "TestSupport", "Text", "Values", "Web",
            ],
            path: "Tests/Services/auth"),
        .testTarget(
            name: "LedgerTests",
            dependencies: [
                "AMQP", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity", "JSON", "Jobs", "Ledger",
                "LedgerCore", "Messaging", "Outbox", "Postgres", "Telemetry", "TestSupport", "Text", "Values", "Web",
            ],
            path: "Tests/Services/ledger"),
        .testTarget(
            name: "LLMProxyTests",
            dependencies: [
                "AMQP", "Bootstrap", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity",
                "JSON", "Jobs", "LLMProxy",
                "Messaging", "Outbox", "Postgres", "SSE", "Telemetry", "TestSupport", "UpstreamClient", "Values", "Web",
            ],
            path: "Tests/Services/llm-proxy"),
        .testTarget(
            name: "BillingTests",
            dependencies: [
                "AMQP", "Billing", "Configuration", "Contracts", "Crypto", "EventLoop", "HTTP", "HTTPClient", "HTTPWire", "Identity",
                "JSON", "Outbox", "Postgres", "Telemetry", "TestSupport", "Text", "Values", "Web",
            ],
            path: "Tests/Services/billing", exclude: ["Stripe/oracle.py", "Stripe/signature-vectors.json"]),
        .executableTarget(name: "parser-probe", dependencies: ["JSON", "SSE"], path: "Tests/Differential/Probe"),
        .testTarget(
            name: "DifferentialTests", dependencies: ["TestSupport", "parser-probe"], path: "Tests/Differential",
            exclude: [
                "Probe", "differential.py", "differential.sh", "events.py", "json_cases.py", "requirements.txt", "scanner.py", "splicer.py",
                "wire.py",
            ]),
        .testTarget(name: "BenchTests", dependencies: ["Bench"], path: "Tests/BenchTests"),
        .testTarget(
            name: "SoakTests", dependencies: ["Contracts", "EventLoop", "LedgerCore", "Soak", "TestSupport", "Values"],
            path: "Tests/SoakTests"),
        .testTarget(
            name: "ArchitectureTests", dependencies: ["Auth", "Billing", "Bootstrap", "HTTP", "HTTPWire", "Ledger", "LLMProxy"],
            path: "Tests/Architecture"),
        .testTarget(
            name: "SystemTests",
            dependencies: [
                "Configuration", "Contracts", "EventLoop", "HTTPClient", "HTTPWire", "Identity", "JSON", "Postgres", "SMTP", "Telemetry",
                "TestSupport", "UpstreamClient", "Values",
            ],
            path: "Tests/System",
            exclude: [
                "browser", "clients", "servers", "oauth_clients.py", "oauth_clients.txt", "anthropic_sdk.py", "anthropic_sdk.txt",
                "openai_sdk.py",
                "openai_sdk.txt", "openid_mock.txt",
                "schemathesis.toml",
                "schemathesis.txt", "token_verifiers.py",
            ]),
    ]
)

// The main function of the fuzzer is libFuzzer's, which only the build of Tests/Fuzz/fuzz.sh links.
if Context.environment["FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["AMQP", "CRabbitMQ", "Contracts", "HTTPWire", "JSON", "Multipart", "SSE", "Telemetry", "Values"],
            path: "Tests/Fuzz",
            exclude: ["Corpus", "fuzz.sh"]))
}

for target in package.targets where target.type != .system {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .swiftLanguageMode(.v6),
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            .treatAllWarnings(as: .error),
        ]
}
