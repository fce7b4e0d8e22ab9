import HTTP
import HTTPWire
import JSON
import TestSupport
import Testing

@testable import LLMProxy

/// Tests requests that are wrong, on each surface that takes JSON.
@Suite(.serialized, .database(schema: "llm_proxy", migrations: "Shared/Outbox/Migrations", "Services/llm-proxy/Migrations"))
struct BadRequestTests {
    /// The path of a surface, its model, and the members of a request but for the model.
    private static let surfaces: [(path: String, model: String, members: String)] =
        SurfaceScript.all.map { script in
            let body = script.body(model: "m")
            return (
                script.surface.path, script.surface == .messages ? "claude" : "m",
                String(body.dropFirst(#"{"model":"m","#.count).dropLast())
            )
        } + [
            ("/v1/images/generations", "picture", #""prompt":"a cat""#), ("/v1/audio/speech", "voice", #""input":"x","voice":"alloy""#),
            ("/v1/videos", "film", #""prompt":"a cat""#),
            ("/v1/messages/count_tokens", "claude", #""messages":[{"role":"user","content":"x"}]"#),
        ]

    /// Sends a body to each surface, and expects a refusal before anything is held.
    private func refused(
        _ status: Int, naming name: String, _ body: @escaping @Sendable (_ model: String, _ members: String) -> [UInt8]
    ) async throws {
        try await ProxyUnderTest.with { proxy in
            for (path, model, members) in Self.surfaces {
                let caller = proxy.send(bytes: body(model, members), to: path)
                try await until("the answer is over") { caller.isOver }
                #expect(caller.status == status, "\(path): \(caller.text)")
                #expect(caller.headers.string(for: "content-type") == "application/json", "\(path)")
                let error = try caller.error()
                #expect(try error.string("message").contains(name), "\(path): \(caller.text)")
                // A name of the client stands in the error as data of its JSON, on one line.
                #expect(!caller.text.contains("\n"), "\(path)")
            }
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }

    @Test(arguments: ["{", "[]", "null", "x", "{}x", #"{"model":"m","a":01}"#, #"{"model":"m","a":"\ud800"}"#])
    func `a body that is no JSON object is refused`(text: String) async throws {
        try await refused(400, naming: "JSON") { _, _ in Array(text.utf8) }
    }

    @Test func `a body that is no UTF-8 is refused`() async throws {
        try await refused(400, naming: "JSON") { model, members in
            Array(#"{"model":"\#(model)",\#(members),"extra":""#.utf8) + [0xFF] + Array(#""}"#.utf8)
        }
    }

    @Test func `deep nesting is refused`() async throws {
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        try await refused(400, naming: "JSON") { model, members in Array(#"{"model":"\#(model)",\#(members),"extra":\#(deep)}"#.utf8) }
    }

    @Test func `a name that stands twice is refused by name`() async throws {
        try await refused(400, naming: "model") { model, members in Array(#"{"model":"other","model":"\#(model)",\#(members)}"#.utf8) }
    }

    @Test(arguments: ["Model", "MODEL", "mod\\u0065L"])
    func `a name that differs in letter case only is refused`(name: String) async throws {
        try await refused(400, naming: "model") { model, members in Array(#"{"model":"\#(model)",\#(members),"\#(name)":"x"}"#.utf8) }
    }

    @Test(arguments: ["7", "null", "[]", "{}", "true", #""""#])
    func `a model that is no name is refused by name`(value: String) async throws {
        try await refused(400, naming: "model") { _, members in Array(#"{"model":\#(value),\#(members)}"#.utf8) }
    }

    @Test(arguments: [#"none\n\ndata: {\"choices\":[]}\n\n"#, #"none\r\nx-credits-used: 0"#, #"none<script>"#])
    func `an unknown model is 404, and its name cannot write events or fields`(name: String) async throws {
        try await refused(404, naming: "none") { _, members in Array(#"{"model":"\#(name)",\#(members)}"#.utf8) }
    }

    @Test(
        arguments: [
            (Surface.chat, "max_tokens"), (.chat, "n"), (.messages, "max_tokens"), (.responses, "max_output_tokens"),
            (.completions, "max_tokens"), (.completions, "n"), (.images, "n"), (.videos, "seconds"),
        ], ["1e999", "99999999999999999999", "-1", "0.5", #""1e9""#, "[1]"])
    func `a number beyond its range is refused by name`(place: (surface: Surface, name: String), value: String) async throws {
        try await ProxyUnderTest.with { proxy in
            let surface = try #require(Self.surfaces.first { $0.path == place.surface.path })
            let members = surface.members.replacing(#""max_tokens":4000,"#, with: "")
            let caller = proxy.send(#"{"model":"\#(surface.model)",\#(members),"\#(place.name)":\#(value)}"#, to: surface.path)
            try await until("the answer is over") { caller.isOver }
            #expect(caller.status == 400)
            #expect(try caller.error().string("message").contains(place.name), "\(caller.text)")
            #expect(proxy.ledger.holds.isEmpty && proxy.provider.calls.isEmpty)
        }
    }
}
