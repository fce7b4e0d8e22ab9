import Foundation
import HTTPClient
import Identity
import TestSupport
import Testing

/// `oidc-provider-mock` from PyPI, unchanged, as a server of its own on loopback.
struct OpenIDMock: Sendable {
    let issuer: String
    private let gateway: Gateway
    private let process: ChildProcess

    static let clientSecret = "client-secret-of-the-openid-mock"

    private static let environment = Task { try await PythonEnvironment.make("openid-mock", requirements: "openid_mock.txt") }

    /// Runs a test while auth knows the mock as the provider `mock`.
    /// - Parameter further: more variables of auth; ids of more providers go into `providers`.
    static func with(
        _ gateway: Gateway, providers: [String] = [], _ further: [String] = [], _ body: (OpenIDMock) async throws -> Void
    ) async throws {
        let mock = try await start(gateway)
        let result: Result<Void, any Error>
        do {
            try await gateway.restartAuth(
                [
                    "OIDC_PROVIDERS=\((["mock"] + providers).joined(separator: ","))", "OIDC_MOCK_ISSUER=\(mock.issuer)",
                    "OIDC_MOCK_CLIENT_ID=gateway", "OIDC_MOCK_CLIENT_SECRET=\(clientSecret)", "OIDC_MOCK_NAME=Mock",
                ] + further)
            result = .success(try await body(mock))
        } catch {
            result = .failure(error)
        }
        mock.process.signal(SIGKILL)
        mock.process.wait()
        try await gateway.restartAuth()
        try result.get()
    }

    private static func start(_ gateway: Gateway) async throws -> OpenIDMock {
        let program = try await environment.value + "/bin/oidc-provider-mock"
        let port = try freePorts(1)[0]
        let log = gateway.stack.directory + "/openid-mock.output"
        let process = try ChildProcess(
            program, ["--port", "\(port)"], environment: ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"], output: log)
        let mock = OpenIDMock(issuer: "http://127.0.0.1:\(port)", gateway: gateway, process: process)
        do {
            try await gateway.until("the OpenID provider answers", within: .seconds(60)) {
                (try? await gateway.client.request(ClientRequest("GET", mock.issuer + "/jwks")).status) == 200
            }
        } catch {
            process.signal(SIGKILL)
            process.wait()
            throw error
        }
        return mock
    }

    /// Gives a person claims, as JSON.
    func put(_ subject: String, _ claims: String) async throws {
        let answer = try await gateway.client.request(
            ClientRequest("PUT", "\(issuer)/users/\(subject)", headers: [("content-type", "application/json")], body: Array(claims.utf8)))
        try gateway.expect(answer, 204)
    }

    /// Lets a person sign in at the address that a browser was sent to.
    /// - Returns: the address that the browser is sent back to.
    func signIn(_ subject: String, at url: String) async throws -> String { try await decide("sub=\(subject)", at: url) }

    /// Lets a person refuse.
    func refuse(at url: String) async throws -> String { try await decide("action=deny", at: url) }

    private func decide(_ form: String, at url: String) async throws -> String {
        let headers = [("content-type", "application/x-www-form-urlencoded")]
        let answer = try await gateway.client.request(ClientRequest("POST", url, headers: headers, body: Array(form.utf8)))
        guard answer.status == 302, let location = answer.header("location") else { throw gateway.unexpected(answer) }
        return location
    }
}

extension Gateway {
    /// Starts auth again with further variables.
    fileprivate func restartAuth(_ further: [String] = []) async throws {
        try stack.writeVariables(further)
        try await stack.stop(.auth)
        try await stack.start(.auth)
    }
}

/// A browser with its cookies, which follows no redirect by itself.
struct Browser {
    let gateway: Gateway
    private(set) var cookies: [String: String] = [:]

    init(_ gateway: Gateway) { self.gateway = gateway }

    private var cookieHeader: [(name: String, value: String)] {
        cookies.isEmpty ? [] : [("cookie", cookies.map { "\($0.key)=\($0.value)" }.joined(separator: "; "))]
    }

    /// - Parameter place: a path of the gateway, or an address.
    mutating func get(_ place: String) async throws -> ClientResponse {
        let url = place.hasPrefix("/") ? try gateway.stack.edge + place : place
        return take(try await gateway.client.request(ClientRequest("GET", url, headers: cookieHeader)))
    }

    /// Posts a form, as a page of the gateway does.
    mutating func post(_ path: String, _ form: [(name: String, value: String)]) async throws -> ClientResponse {
        let edge = try gateway.stack.edge
        let body = form.map { "\($0.name)=\($0.value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")" }
        let headers = cookieHeader + [("origin", edge), ("content-type", "application/x-www-form-urlencoded")]
        return take(
            try await gateway.client.request(
                ClientRequest("POST", edge + path, headers: headers, body: Array(body.joined(separator: "&").utf8))))
    }

    private mutating func take(_ answer: ClientResponse) -> ClientResponse {
        for (name, value) in answer.headers where name.lowercased() == "set-cookie" {
            let pair = value.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            cookies[pair[0]] = pair[1].isEmpty ? nil : pair[1]
        }
        return answer
    }

    /// A CSRF token of the session; nil if the browser is not signed in.
    var csrfToken: String? { cookies["session"].flatMap { SessionCookie(Array($0.utf8)) }?.csrf.token() }
}

extension ClientResponse {
    var text: String { String(decoding: body, as: UTF8.self) }

    /// The value of a hidden field of a page.
    func field(_ name: String) -> String? {
        (try? Regex<(Substring, Substring)>(#"name="\#(name)" value="([^"]*)""#)).flatMap { text.firstMatch(of: $0) }.map {
            String($0.output.1)
        }
    }
}
