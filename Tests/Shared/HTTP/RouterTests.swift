import HTTP
import HTTPWire
import JSON
import Telemetry
import TestSupport
import Testing

struct RouterTests {
    private func server() async throws -> TestServer {
        try await TestServer { router in
            router.on(.get, "/hello") { _ in .text(200, "hello") }
            router.on(.post, "/echo") { request in
                let body = try request.json()
                let name = try body.string("name")
                return .json(201) { $0.object { $0.field("name", name) } }
            }
            router.on(.get, "/keys/{id}") { request in .text(200, request.pathParameters["id"]) }
            router.on(.delete, "/keys/{id}") { _ in .noContent }
            router.on(.get, "/keys/mine") { _ in .text(200, "literal") }
            router.on(.get, "/static/{file...}") { request in .text(200, request.pathParameters["file"]) }
            router.on(.get, "/search") { request in .text(200, try request.query.string("q")) }
            router.on(.get, "/refuse") { _ in throw Problem.insufficientCredits(balance: "0.5", required: "2", topUpURL: "/plans") }
            router.on(.get, "/break") { _ in throw Broken() }
            router.on(.get, "/trace") { request in .text(200, TraceContext.current?.traceIDText ?? "none") }
        }
    }

    private struct Broken: Error {}

    private func ask(_ request: String) async throws -> (status: Int, head: String, body: String) {
        let client = try await server().client()
        client.send(request)
        client.read { !$0.answers.isEmpty }
        let answer = try #require(client.answers.first)
        return (answer.status, answer.head, String(decoding: answer.body, as: UTF8.self))
    }

    @Test func `a route answers`() async throws {
        let answer = try await ask(get("/hello"))
        #expect(answer.status == 200)
        #expect(answer.body == "hello")
        #expect(answer.head.contains("content-type: text/plain"))
        #expect(answer.head.contains("\r\ndate: "))
    }

    @Test func `a JSON body is read and written`() async throws {
        let answer = try await ask(post("/echo", #"{"name":"Ada"}"#))
        #expect(answer.status == 201)
        #expect(answer.body == #"{"name":"Ada"}"#)
    }

    @Test func `malformed JSON is 400, and a missing member is named`() async throws {
        let broken = try await ask(post("/echo", "{"))
        #expect(broken.status == 400)
        #expect(broken.body.contains(#""code":"invalid_json""#))
        #expect(broken.body.contains(#""param":null"#))
        let missing = try await ask(post("/echo", "{}"))
        #expect(missing.status == 400)
        #expect(missing.body.contains(#""param":"name""#))
    }

    @Test(arguments: [
        ("/keys/42", "42"), ("/keys/mine", "literal"), ("/keys/a%2Fb", "a/b"), ("/keys/%C3%A9", "é"), ("/static/a/b.css", "a/b.css"),
        ("/search?q=a+b%26c", "a b&c"),
    ])
    func `the pattern that fits best takes the path and decodes its parameters`(target: String, body: String) async throws {
        let answer = try await ask(get(target))
        #expect(answer.status == 200)
        #expect(answer.body == body)
    }

    @Test(arguments: ["/nothing", "/hello/", "//hello", "/keys/", "/keys/1/2", "/./hello", "/%68ello", "/static"])
    func `a path that no pattern matches is 404`(target: String) async throws {
        let answer = try await ask(get(target))
        #expect(answer.status == 404)
        #expect(answer.body.contains(#""code":"not_found""#))
    }

    @Test(arguments: ["/keys/%zz", "/keys/%ff", "/keys/%00", "/search?q=%f", "/search?q=1&q=2"])
    func `a target that cannot be decoded, or is ambiguous, is 400`(target: String) async throws {
        #expect(try await ask(get(target)).status == 400)
    }

    @Test func `another method on a known path is 405 and Allow names those that are served`() async throws {
        let answer = try await ask(post("/keys/1", ""))
        #expect(answer.status == 405)
        #expect(answer.head.contains("\r\nallow: GET, DELETE, HEAD"))
    }

    @Test(arguments: ["BREW", "get", "Get", "GETS", "GE", "M", "QUERY", "LOCK", "REPORT", "P!#$%&'*+-.^_`|~9"])
    func `a method that the server does not know is 405 too, and the connection stays`(method: String) async throws {
        let client = try await server().client()
        for character in "\(method) /keys/1 HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n" { client.send(String(character)) }
        client.send("\(method) /hello HTTP/1.1\r\nHost: test\r\n\r\n" + get("/hello"))
        client.read { $0.statuses.count == 3 }
        #expect(client.statuses == [405, 405, 200])
        #expect(client.answers.first?.head.contains("\r\nallow: GET, DELETE, HEAD") == true)
        #expect(client.text.hasSuffix("hello"))
    }

    @Test func `HEAD is GET without the body`() async throws {
        let client = try await server().client()
        client.send("HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n" + get("/keys/after"))
        client.read { $0.text.hasSuffix("after") }
        #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(client.text.contains("content-length: 5\r\n"))
        #expect(!client.text.contains("hello"))
    }

    @Test func `a thrown problem is the answer, with its four keys and its own`() async throws {
        let answer = try await ask(get("/refuse"))
        #expect(answer.status == 402)
        #expect(
            answer.body
                == #"{"error":{"message":"Not enough credits: 2 needed, 0.5 available.","type":"insufficient_credits","code":"insufficient_credits","param":null,"balance":0.5,"required":2,"top_up_url":"/plans"}}"#
        )
        #expect(answer.head.contains("x-should-retry: false"))
    }

    @Test func `any other error is 500 and does not reveal its cause`() async throws {
        let answer = try await ask(get("/break"))
        #expect(answer.status == 500)
        #expect(answer.body.contains(#""code":"internal_error""#))
        #expect(!answer.body.contains("Broken"))
    }

    @Test func `a request id that is fit for logs is returned, and another is replaced`() async throws {
        #expect(try await ask(get("/hello", "X-Request-ID: abc-1\r\n")).head.contains("\r\nx-request-id: abc-1\r\n"))
        for bad in ["X-Request-ID: a b\r\n", "X-Request-ID: \(String(repeating: "x", count: 129))\r\n", ""] {
            let head = try await ask(get("/hello", bad)).head
            let line = try #require(head.split(separator: "\r\n").first { $0.hasPrefix("x-request-id: ") })
            let id = line.dropFirst(14)
            #expect(id.count == 36)
            #expect(id.dropFirst(14).first == "7")
        }
    }

    @Test func `the handler continues the caller's trace`() async throws {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        let answer = try await ask(get("/trace", "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n"))
        #expect(answer.body == trace)
    }
}
