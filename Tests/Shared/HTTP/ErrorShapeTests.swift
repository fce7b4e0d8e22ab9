import HTTP
import HTTPWire
import TestSupport
import Testing

struct ErrorShapeTests {
    /// A door that admits no caller, and makes a page of each refusal.
    private struct PageDoor: HTTPDoor {
        struct Broken: Error {}

        static let table: [Route<PageDoor>] = [
            Route(.post, ["/page"], access: .public, bodyBytesMax: 4, errors: .page) { _ in { _ in throw Problem.conflict("No.") } },
            Route(.get, ["/broken"], access: .public, errors: .page) { _ in { _ in throw Broken() } },
            Route(.get, ["/query"], access: .public, errors: .page) { _ in { _ in .text(200, "fine") } },
            Route(.get, ["/closed"], access: .session(), errors: .page) { _ in { _, _ in .text(200, "open") } },
            Route(.post, ["/both"], access: .public, errors: .pageOrOpenAI) { _ in { _ in throw Problem.conflict("No.") } },
            Route(.get, ["/program"], access: .public) { _ in { _ in throw Problem.conflict("No.") } },
        ]

        var gate: CallerGate<Void> {
            CallerGate(known: { _, _ in nil }, check: { _, _, _ throws(Problem) in throw .invalidAPIKey })
        }

        func page(for problem: Problem, to exchange: Exchange) -> Response {
            Response(
                status: problem.status, headers: ["content-type": "text/html"],
                body: Array("page of \(problem.code) at \(String(decoding: exchange.target, as: UTF8.self))".utf8))
        }
    }

    private func ask(_ request: String) async throws -> (status: Int, head: String, body: String) {
        let client = try await TestServer { $0.add(PageDoor()) }.client()
        client.send(request)
        client.read { !$0.answers.isEmpty }
        let answer = try #require(client.answers.first)
        return (answer.status, answer.head, String(decoding: answer.body, as: UTF8.self))
    }

    @Test func `a row of pages has the page of its door for every refusal`() async throws {
        let cases = [
            (post("/page", ""), 409, "page of conflict at /page"), (post("/page", "12345"), 413, "page of payloadTooLarge at /page"),
            (get("/broken"), 500, "page of internalError at /broken"), (get("/query?a=%ff"), 400, "page of invalidRequest at /query?a=%ff"),
            (get("/page"), 405, "page of methodNotAllowed at /page"), (get("/closed"), 401, "page of invalidAPIKey at /closed"),
        ]
        for (request, status, body) in cases {
            let answer = try await ask(request)
            #expect((answer.status, answer.body) == (status, body))
            #expect(answer.head.contains("content-type: text/html"))
        }
    }

    @Test func `another row of the same door keeps the shape of programs`() async throws {
        let answer = try await ask(get("/program"))
        #expect(answer.status == 409)
        #expect(answer.body.contains(#""code":"conflict""#))
    }

    @Test func `a path of people and programs has a page for a form, and the error object for another body`() async throws {
        let form = try await ask(post("/both", "a=b", "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"))
        #expect((form.status, form.body) == (409, "page of conflict at /both"))
        for type in ["Content-Type: application/json\r\n", ""] {
            let answer = try await ask(post("/both", "{}", type))
            #expect(answer.status == 409)
            #expect(answer.body.contains(#""code":"conflict""#))
        }
    }

    @Test func `a door without pages answers with the error object`() async throws {
        let client = try await TestServer { router in
            router.on(.get, "/page", errors: .page) { _ in throw Problem.conflict("No.") }
        }.client()
        client.send(get("/page"))
        client.read { !$0.answers.isEmpty }
        #expect(client.text.contains(#""code":"conflict""#))
    }
}
