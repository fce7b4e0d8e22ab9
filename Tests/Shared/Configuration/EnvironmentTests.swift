import Glibc
import Testing

@testable import Configuration

struct EnvironmentTests {
    @Test func `values are read by type, and empty is absent`() throws {
        let environment = Environment([
            "NAME": "x", "EMPTY": "", "PORT": "8080", "FLAG": "Yes", "WAIT": "250ms", "LONG": "5m", "LIST": " a, b ,,c", "MODE": "fast",
        ])
        #expect(try environment.string("NAME") == "x")
        #expect(environment.optionalString("EMPTY") == nil)
        #expect(environment.string("EMPTY", default: "y") == "y")
        #expect(try environment.integer("PORT", default: 1, in: 1...65_535) == 8_080)
        #expect(try environment.integer("ABSENT", default: 7, in: 1...9) == 7)
        #expect(try environment.bool("FLAG", default: false))
        #expect(try environment.duration("WAIT", default: .zero, in: .zero ... .seconds(1)) == .milliseconds(250))
        #expect(try environment.duration("LONG", default: .zero, in: .zero ... .seconds(600)) == .seconds(300))
        #expect(environment.list("LIST") == ["a", "b", "c"])
        #expect(environment.list("ABSENT", default: ["d"]) == ["d"])
        #expect(try environment.choice("MODE", default: "slow", of: ["slow", "fast"]) == "fast")
    }

    @Test func `a missing variable is one line that names it`() {
        let error = #expect(throws: ConfigurationError.self) { try Environment([:]).string("DATABASE_URL") }
        #expect(error?.description == "DATABASE_URL is not set")
    }

    @Test func `a malformed variable is one line with what was found and what is expected`() {
        let environment = Environment(["PORT": "80a\n80", "BIG": "70000", "FLAG": "maybe", "WAIT": "30", "LONG": "3h", "MODE": "x"])
        #expect(
            message { try environment.integer("PORT", default: 1, in: 1...9) }
                == "PORT is malformed '80a80': expected a whole number from 1 to 9")
        #expect(message { try environment.integer("BIG", default: 1, in: 1...65_535) }?.hasPrefix("BIG is malformed '70000'") == true)
        #expect(message { try environment.bool("FLAG", default: false) } == "FLAG is malformed 'maybe': expected true or false")
        #expect(message { try environment.duration("WAIT", default: .zero, in: .zero ... .seconds(60)) }?.contains("30s") == true)
        #expect(
            message { try environment.duration("LONG", default: .zero, in: .milliseconds(1) ... .seconds(60)) }?.contains("from 1ms to 60s")
                == true)
        #expect(message { try environment.choice("MODE", default: "a", of: ["a", "b"]) } == "MODE is malformed 'x': expected one of a, b")
    }

    private func message(_ body: () throws -> some Any) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return "\(error)"
        }
    }
}

struct SecretTests {
    private static let word = "hunter2-very-secret"

    @Test func `a secret never prints`() throws {
        let secret = try Environment(["KEY": Self.word]).secret("KEY")
        var dumped = ""
        dump(secret, to: &dumped)
        dump(["nested": [secret]], to: &dumped)
        struct Holder { let key: Secret }
        for text in [
            "\(secret)", String(reflecting: secret), "\(Holder(key: secret))", "\([secret])", dumped, "\(Optional(secret) as Any)",
        ] {
            #expect(!text.contains(Self.word))
        }
        #expect(secret.reveal() == Self.word)
    }

    @Test func `a URL prints without its password`() throws {
        let url = try Environment(["U": "postgresql://ledger:\(Self.word)@db.internal:5432/gw?x=\(Self.word)"]).url(
            "U", schemes: ["postgresql"])
        var dumped = ""
        dump(url, to: &dumped)
        for text in ["\(url)", String(reflecting: url), dumped] { #expect(!text.contains(Self.word)) }
        #expect("\(url)" == "postgresql://ledger:<redacted>@db.internal:5432/gw")
        #expect(url.password?.reveal() == Self.word)
    }

    @Test func `a malformed URL is refused without showing it`() {
        for text in [
            "postgres:/\(Self.word)", "http://u:\(Self.word)@h/", "postgresql://u:\(Self.word)@h:99999/x",
            "postgresql://a b@h/\(Self.word)",
        ] {
            let error = #expect(throws: ConfigurationError.self) { try Environment(["U": text]).url("U", schemes: ["postgresql"]) }
            #expect(error?.description == "U is malformed: expected a URL such as postgresql://host:port/path")
        }
    }

    @Test func `a secret may stand in a file, whose last newline is dropped`() throws {
        let path = try TemporaryFile("\(Self.word)\n")
        #expect(try Environment(["KEY_FILE": path.path]).secret("KEY").reveal() == Self.word)
        let both = #expect(throws: ConfigurationError.self) { try Environment(["KEY_FILE": path.path, "KEY": Self.word]).secret("KEY") }
        #expect(both?.description == "KEY is set, and so is KEY_FILE")
        let absent = #expect(throws: ConfigurationError.self) { try Environment(["KEY_FILE": path.path + ".absent"]).secret("KEY") }
        #expect(absent?.description.hasPrefix("KEY_FILE names a file that cannot be read") == true)
        let neither = #expect(throws: ConfigurationError.self) { try Environment([:]).secret("KEY") }
        #expect(neither?.description == "KEY (or KEY_FILE) is not set")
    }
}

struct URLTextTests {
    @Test func `a URL is split into its parts`() throws {
        let url = try #require(URLText("amqps://user%40x:p%3Aw@[::1]:5671/v%2Fhost?heartbeat=10"))
        #expect(url.scheme == "amqps" && url.user == "user@x" && url.password?.reveal() == "p:w")
        #expect(url.host == "::1" && url.port == 5_671 && url.path == "/v%2Fhost" && url.query == "heartbeat=10")
        let plain = try #require(URLText("HTTP://example.com"))
        #expect(plain.scheme == "http" && plain.host == "example.com" && plain.port == nil && plain.path.isEmpty && plain.user == nil)
    }

    @Test(
        arguments: [
            "", "x", "http", "http:", "http:/h", "://h", "1http://h", "http://h:0", "http://h:65536", "http://h:-1", "http://h:8x",
            "http://h h/", "http://h/\n", "http://h\u{e9}/", "http://u%zz@h/", "http://u%+f@h/", "http://u%ff@h/", "http://[::1/",
            "http://[]:1/",
            "http://h/#f", "http://h\\x/",
        ]) func `a malformed URL is refused`(_ text: String)
    {
        #expect(URLText(text) == nil)
    }

    @Test(
        arguments: [
            ("http://localhost:1/x", true), ("http://LOCALHOST", true), ("http://127.0.0.1", true), ("https://127.255.0.9:1", true),
            ("http://[::1]:1/", true), ("http://127.evil.example", false), ("http://localhost.evil.example", false),
            ("http://128.0.0.1", false), ("http://[::2]", false), ("http://example.com/127.0.0.1", false), ("http://127.0.0.1@h", false),
        ])
    func `a URL knows whether its host is this machine`(text: String, isLoopback: Bool) throws {
        #expect(try #require(URLText(text)).isLoopback == isLoopback)
    }
}

/// Lives as long as the value.
private final class TemporaryFile {
    let path: String

    init(_ text: String) throws {
        var name = Array("\(String(cString: getenv("TMPDIR") ?? strdup("/var/tmp")))/secret-XXXXXX".utf8CString)
        let descriptor = mkstemp(&name)
        try #require(descriptor >= 0)
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try #require(write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
    }

    deinit { unlink(path) }
}
