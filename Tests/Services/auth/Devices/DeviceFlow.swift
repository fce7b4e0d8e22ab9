import JSON
import TestSupport
import Testing
import Values

@testable import Auth

/// The steps of a device and its user over HTTP.
extension AuthUnderTest {
    struct DeviceCodes: Sendable {
        var deviceCode: String
        var userCode: String
    }

    static func form(_ fields: [(String, String)]) -> String {
        fields.map { name, value in "\(name)=\(value.utf8.map(escaped).joined())" }.joined(separator: "&")
    }

    private static func escaped(_ byte: UInt8) -> String {
        let digits = Array("0123456789ABCDEF")
        return "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
    }

    func post(_ path: String, _ fields: [(String, String)], headers: [(name: String, value: String)] = []) async throws -> Answer {
        try await ask(
            "POST", path, Self.form(fields), headers: [("content-type", "application/x-www-form-urlencoded")] + headers)
    }

    func requestDeviceCode(
        _ fields: [(String, String)] = [("client_id", "smartspec-desktop")], from address: String = "192.0.2.1"
    ) async throws -> DeviceCodes {
        let answer = try await post("/oauth/device_authorization", fields, headers: [("x-forwarded-for", address)])
        guard answer.status == 200 else { throw Unexpected(answer: answer) }
        return DeviceCodes(deviceCode: try answer.string("device_code"), userCode: try answer.string("user_code"))
    }

    func decide(_ userCode: String, _ action: String, _ member: Member, from address: String = "192.0.2.1") async throws -> Answer {
        try await ask(
            "POST", "/api/auth/device/authorize", #"{"user_code":"\#(userCode)","action":"\#(action)"}"#, token: member.accessToken,
            headers: [("x-forwarded-for", address)])
    }

    func poll(
        _ deviceCode: String, client: String = "smartspec-desktop", headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        try await post(
            "/oauth/token",
            [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", deviceCode), ("client_id", client)],
            headers: headers)
    }
}

extension AuthUnderTest.Answer {
    /// The error of an answer in the shape of RFC 6749 §5.2, or what is wrong with the shape.
    var oauthError: String {
        guard let json = try? json(), let error = try? json.string("error"), (try? json.string("error_description")) != nil,
            header("cache-control") == "no-store"
        else { return "not in the shape: \(String(decoding: body.prefix(200), as: UTF8.self))" }
        return error
    }
}
