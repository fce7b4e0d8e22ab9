import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing
import UpstreamClient

@testable import LLMProxy

/// A client's call, with the part of the answer that has come.
final class Caller: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    private let call: UpstreamResponse
    private let path: String
    private(set) var bytes: [UInt8] = []
    private(set) var isOver = false
    /// Nil for an answer that ended properly.
    private(set) var failure: UpstreamError?

    init(
        _ pool: UpstreamPool, key: String, body: [UInt8], path: String = Surface.chat.path, operation: String? = nil,
        headers more: HeaderBlock = [:]
    ) {
        self.path = path
        var headers: HeaderBlock = more.contains("content-type") ? [:] : ["content-type": "application/json"]
        headers.add("authorization", "Bearer " + key)
        headers.add(more)
        if let operation { headers.add("x-operation", operation) }
        let call = pool.begin(method: "POST", target: Array(path.utf8), headers: headers, body: body)
        self.call = call
        Task(executorPreference: TestDatabase.loop) {
            do throws(UpstreamError) {
                try await call.head()
                try await call.pipe { self.bytes.append(contentsOf: $0) }
                self.compareRefusal()
            } catch {
                self.failure = error
            }
            self.isOver = true
        }
    }

    /// Compares a refusal with what the document promises. The answers of ``ScriptedProvider`` lack
    /// members that a provider sends.
    private func compareRefusal() {
        guard status != 200 else { return }
        #expect(throws: Never.self) {
            let differences = try differences()
            #expect(differences == [], "\(status)")
        }
    }

    /// Returns what in the answer the document does not promise.
    func differences() throws -> [String] {
        try ProxyUnderTest.document.get().differences(
            "POST", path, status: status, contentType: headers.string(for: "content-type"), body: bytes)
    }

    var status: Int { call.status }
    var headers: HeaderBlock { call.headers }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// Events with content, of one token each.
    var tokens: Int { text.matches(of: /"content":"/).count }
    /// The data of each event.
    var events: [Substring] {
        text.split(separator: "\n\n").compactMap { $0.split(separator: "\n").last { $0.hasPrefix("data: ") }?.dropFirst(6) }
    }
    var isDone: Bool { events.last == "[DONE]" }

    /// The error object of a refusal, or of the last event.
    func error() throws -> JSONObject { try JSONObject(status == 200 ? Array((events.last ?? "").utf8) : bytes).object("error") }

    /// Reads no more.
    func pause() { call.pause() }

    func hangUp() { call.cancel() }
}
