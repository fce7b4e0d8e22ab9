import Configuration
import Contracts
import Crypto
import EventLoop
import Foundation
import HTTP
import HTTPWire
import Telemetry
import Testing
import Values

@testable import Identity

@Suite struct ServiceTokensTests {
    private static let web = String(repeating: "w", count: 32)
    private static let mcp = "mcp-" + String(repeating: "m", count: 40) + "=="
    private static let batch = "batch+/=" + String(repeating: "b", count: 32)

    @Test func `a token is compared as a whole, from any variable`() throws {
        let tokens = try ServiceTokens(
            Environment([
                "WEB_GATEWAY_TOKEN": Self.web, "MCP_SERVER_TOKEN": Self.mcp, "SERVICE_TOKENS": "batch=\(Self.batch),n8n=\(Self.web)2",
            ]))
        #expect(tokens.name(of: sha256(Self.web)) == "web-gateway")
        #expect(tokens.name(of: sha256(Self.mcp)) == "mcp-server")
        #expect(tokens.name(of: sha256(Self.batch)) == "batch")
        #expect(tokens.name(of: sha256(Self.web + "2")) == "n8n")
        for wrong in ["", "w", String(Self.web.dropLast()), Self.web + "w", Self.web + "3", "batch=\(Self.batch)"] {
            #expect(tokens.name(of: sha256(wrong)) == nil)
        }
        #expect(try ServiceTokens(Environment([:])).isEmpty)
        #expect(ServiceTokens.none.name(of: sha256("")) == nil)
    }

    /// Idempotency keys are kept by name, so a new token must not need a new one.
    @Test func `a server has two tokens under its one name while the first is replaced by the second`() throws {
        let tokens = try ServiceTokens(
            Environment(["WEB_GATEWAY_TOKEN": Self.web, "SERVICE_TOKENS": "web-gateway=\(Self.batch),batch=\(Self.mcp),batch=\(Self.web)2"])
        )
        for token in [Self.web, Self.batch] { #expect(tokens.name(of: sha256(token)) == "web-gateway") }
        for token in [Self.mcp, Self.web + "2"] { #expect(tokens.name(of: sha256(token)) == "batch") }
    }

    @Test func `a token may come from a file`() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "token-\(UUIDv7.make())")
        try Data("\(Self.web)\n".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let tokens = try ServiceTokens(Environment(["MCP_SERVER_TOKEN_FILE": file.path(percentEncoded: false)]))
        #expect(tokens.name(of: sha256(Self.web)) == "mcp-server")
    }

    @Test(arguments: [
        ("WEB_GATEWAY_TOKEN", String(repeating: "w", count: 31)), ("MCP_SERVER_TOKEN", "short"),
        ("MCP_SERVER_TOKEN", String(repeating: "m", count: 32) + " "), ("WEB_GATEWAY_TOKEN", String(repeating: "ß", count: 32)),
        ("WEB_GATEWAY_TOKEN", String(repeating: "w", count: 32) + ","), ("SERVICE_TOKENS", String(repeating: "t", count: 40)),
        ("SERVICE_TOKENS", "a=short"), ("SERVICE_TOKENS", "=" + web), ("SERVICE_TOKENS", "A=" + web), ("SERVICE_TOKENS", "a=\(web),"),
        ("SERVICE_TOKENS", "a=\(web), b=\(mcp)"), ("SERVICE_TOKENS", "a=\(web),a=\(web)"), ("SERVICE_TOKENS", "a=\(web),b=\(web)"),
        ("SERVICE_TOKENS", "\(String(repeating: "n", count: 41))=\(web)"),
    ])
    func `a short, malformed or repeated token is refused by its variable's name and not shown`(name: String, value: String) {
        let error = #expect(throws: ConfigurationError.self) { try ServiceTokens(Environment([name: value])) }
        #expect(error?.variable == name)
        #expect(error.map { "\($0)".contains(value) } == false)
    }

    // MARK: As a credential

    private static let loop = EventLoop.spawn(name: "test-service-tokens")

    private func onLoop(_ body: @escaping @Sendable (Authenticator) async throws -> Void, tokens: [String: String]) async throws {
        try await Task(executorPreference: Self.loop) {
            let authenticator = Authenticator(
                service: "test", publicURL: "https://gateway.example", serviceTokens: try ServiceTokens(Environment(tokens)), amqp: nil,
                source: NobodyIsThere(), log: Logger(service: "test", level: .error))
            try await body(authenticator)
        }.value
    }

    private func headers(_ token: String, onBehalfOf users: String...) -> HeaderBlock {
        var headers: HeaderBlock = ["authorization": "Bearer \(token)"]
        for user in users { headers.add("x-on-behalf-of", user) }
        return headers
    }

    @Test func `a server acts for the user it names, without auth being asked, and never administers`() async throws {
        let user = UserID.make()
        try await onLoop(
            { authenticator in
                let headers = headers(Self.web, onBehalfOf: user.description)
                let principal = try await authenticator.principal(headers)
                #expect(principal.service == "web-gateway")
                #expect(principal.userID == user)
                #expect(principal.accountID == AccountID(user))
                #expect(!principal.isAdmin)
                #expect(principal.apiKeyID == nil)
                #expect(principal.sessionID == nil)
                #expect(authenticator.cached(headers) == principal)
                let other = UserID.make()
                #expect(authenticator.cached(self.headers(Self.web, onBehalfOf: other.description))?.userID == other)
                let keyed: HeaderBlock = ["x-api-key": "\(Self.web)", "x-on-behalf-of": "\(user)"]
                #expect(try await authenticator.principal(keyed) == principal)
            }, tokens: ["WEB_GATEWAY_TOKEN": Self.web])
    }

    @Test func `a server that names no user, no UUID or two users is 400, and the answer names the header`() async throws {
        let user = UserID.make().description
        try await onLoop(
            { authenticator in
                let refused = [
                    headers(Self.web), headers(Self.web, onBehalfOf: ""), headers(Self.web, onBehalfOf: "alice"),
                    headers(Self.web, onBehalfOf: user, user),
                ]
                for headers in refused {
                    #expect(authenticator.cached(headers) == nil)
                    let problem = await #expect(throws: Problem.self) { try await authenticator.principal(headers) }
                    #expect(problem?.status == 400)
                    #expect(problem?.code.rawValue == "invalid_request")
                    #expect(problem?.param == "x-on-behalf-of")
                }
            }, tokens: ["WEB_GATEWAY_TOKEN": Self.web])
    }

    @Test func `a server is known by its token alone, and no other credential is a server`() async throws {
        try await onLoop(
            { authenticator in
                let named = headers(Self.web, onBehalfOf: UserID.make().description)
                for headers in [headers(Self.web), named, ["x-api-key": "\(Self.web)"]] {
                    #expect(authenticator.service(headers) == "web-gateway")
                }
                for headers in [[:], headers(Self.web + "w"), headers(""), ["authorization": "Basic \(Self.web)"]] as [HeaderBlock] {
                    #expect(authenticator.service(headers) == nil)
                }
            }, tokens: ["WEB_GATEWAY_TOKEN": Self.web])
    }

    @Test func `a server that names a deactivated user is 403 until the user is active again`() async throws {
        let user = UserID.make()
        try await onLoop(
            { authenticator in
                let headers = headers(Self.web, onBehalfOf: user.description)
                #expect(authenticator.cached(headers)?.userID == user)
                authenticator.learn(UserChanged(userID: user, tokenVersion: 1, isActive: false))
                #expect(authenticator.cached(headers) == nil)
                let problem = await #expect(throws: Problem.self) { try await authenticator.principal(headers) }
                #expect(problem?.status == 403)
                #expect(problem?.code.rawValue == "user_deactivated")
                #expect(authenticator.cached(self.headers(Self.web, onBehalfOf: UserID.make().description)) != nil)
                authenticator.learn(UserChanged(userID: user, tokenVersion: 2, isActive: true))
                let principal = try await authenticator.principal(headers)
                #expect(principal.userID == user)
            }, tokens: ["WEB_GATEWAY_TOKEN": Self.web])
    }

    @Test func `a service token is an unknown credential for a service that accepts none`() async throws {
        try await onLoop(
            { authenticator in
                let problem = await #expect(throws: Problem.self) {
                    try await authenticator.principal(headers(Self.web, onBehalfOf: UserID.make().description))
                }
                #expect(problem?.status == 401)
                #expect(problem?.code.rawValue == "invalid_api_key")
            }, tokens: ["MCP_SERVER_TOKEN": Self.mcp])
    }
}

private struct NobodyIsThere: IdentitySource {
    struct Absent: Error {}
    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply { throw Absent() }
    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? { throw Absent() }
    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? { throw Absent() }
}
