import Contracts
import Foundation
import HTTPClient
import JSON
import Postgres
import TestSupport
import Testing

extension SystemTests {
    /// OAuth clients and verifiers of tokens from PyPI, unchanged, against the edge.
    struct OAuthClientTests {
        @Test(arguments: ["requests-oauth2client", "authlib", "oauthlib"])
        func `a stock client signs a device in, is slowed down and denied, refreshes and revokes`(library: String) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let run = try await Self.runPython(
                    gateway, "oauth_clients.py", [library],
                    [
                        "USER_TOKEN": account.token, "SERVICE_TOKEN": Stack.serviceToken,
                        "EXPIRED_CODE": try await Self.expiredCode(gateway), "AUTHLIB_INSECURE_TRANSPORT": "1",
                        "OAUTHLIB_INSECURE_TRANSPORT": "1",
                    ])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.contains("the OAuth client is content"))
            }
        }

        @Test func `joserfc and PyJWT verify the tokens of the old and of the new signing key`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let old = account.token
                let published = try await Self.publishedKeys(gateway)
                try await Self.rotateSigningKey(gateway)
                // The next standby key is published once auth has read the change, and signs with the new key.
                try await gateway.until("auth signs with the new key", within: .seconds(60)) {
                    try await !Self.publishedKeys(gateway).isSubset(of: published)
                }
                let login = try await gateway.post(
                    "/api/auth/login", token: nil, #"{"email":"\#(account.email)","password":"\#(Gateway.password)"}"#)
                try gateway.expect(login, 200)
                let new = try JSONObject(login.body).string("access_token")
                let run = try await Self.runPython(gateway, "token_verifiers.py", [old, new])
                #expect(run.status == 0, "\(run.output)")
                let keys = run.output.split(separator: "\n")
                #expect(keys.count == 2 && Set(keys).count == 2, "\(run.output)")
                for token in [old, new] {
                    for path in ["/api/auth/me", "/v1/credits", "/v1/models"] {
                        try gateway.expect(try await gateway.get(path, token: token), 200)
                    }
                }
            }
        }

        // MARK: The gateway

        /// Returns a device code whose ten minutes are over.
        private static func expiredCode(_ gateway: Gateway) async throws -> String {
            let codes = try await gateway.post("/oauth/device_authorization", token: nil, #"{"client_id":"smartspec-cli"}"#)
            try gateway.expect(codes, 200)
            let code = try JSONObject(codes.body).string("device_code")
            #expect(try await gateway.database.first(AgeDeviceCode(deviceCode: code)) != nil)
            return code
        }

        private static func publishedKeys(_ gateway: Gateway) async throws -> Set<String> {
            let answer = try await gateway.get("/.well-known/jwks.json", token: nil)
            try gateway.expect(answer, 200)
            return Set(try JSONObject(answer.body).array("keys").compactMap(\.object).map { try $0.string("kid") })
        }

        /// Rotates as an operator does whose current key has leaked.
        private static func rotateSigningKey(_ gateway: Gateway) async throws {
            let stack = gateway.stack
            func secret(_ name: String) throws -> String {
                try String(contentsOfFile: "\(stack.directory)/run/secrets/auth/\(name)", encoding: .utf8)
            }
            let run = try await ChildProcess.run(
                try StartTests.program("auth"), ["rotate-signing-key", "--now"],
                environment: [
                    "DATABASE_URL": try secret("DATABASE_URL"), "AMQP_URL": try secret("AMQP_URL"), "MASTER_KEY": try secret("MASTER_KEY"),
                    "SMTP_URL": try secret("SMTP_URL"), "MAIL_FROM": "no-reply@gateway.example", "PUBLIC_URL": try stack.edge,
                ], clearingEnvironment: true)
            #expect(run.status == 0, "\(run.output)")
        }

        // MARK: Python

        private static let environment = Task { try await PythonEnvironment.make("oauth-clients", requirements: "oauth_clients.txt") }

        private static func runPython(
            _ gateway: Gateway, _ file: String, _ arguments: [String], _ variables: [String: String] = [:]
        ) async throws -> (status: Int32, output: String) {
            try await ChildProcess.run(
                try await environment.value + "/bin/python", [PythonEnvironment.path(of: file)] + arguments,
                environment: variables.merging(["ISSUER": try gateway.stack.edge]) { $1 })
        }
    }
}

/// Moves the request of a device code into the past.
private struct AgeDeviceCode: Statement {
    static let sql = """
        UPDATE auth.device_grant
        SET created_at = created_at - interval '11 minutes', expires_at = expires_at - interval '11 minutes'
        WHERE device_code_sha256 = sha256(convert_to($1, 'UTF8'))
        RETURNING id::text
        """
    typealias Output = String
    var deviceCode: String

    func bind(_ parameters: inout Parameters) { parameters.append(deviceCode) }
}
