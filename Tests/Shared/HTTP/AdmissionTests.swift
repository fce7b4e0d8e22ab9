import EventLoop
import HTTP
import HTTPWire
import TestSupport
import Testing

/// The decisions of the server before it reads a body, and its limit for the bytes of all bodies.
@Suite(.timeLimit(.minutes(1)))
struct AdmissionTests {
    private func server(_ change: (inout HTTPServerConfiguration) -> Void = { _ in }) async throws -> TestServer {
        var configuration = HTTPServerConfiguration()
        change(&configuration)
        return try await TestServer(configuration) { $0.add(AdmissionDoor()) }
    }

    private static func head(_ route: String, _ fields: String = "Content-Length: 1000000\r\n") -> String {
        "\(route) HTTP/1.1\r\nHost: t\r\n\(fields)\r\n"
    }

    static let refusals: [(route: String, status: Int)] = [
        ("POST /private", 401), ("POST /private?x=1", 401), ("POST /exchange", 401), ("POST /service", 401),
        ("POST /server", 401), ("GET /private", 401), ("POST /nothing", 404),
        ("PUT /private", 405), ("POST /private%zz", 400),
    ]

    @Test(arguments: refusals, ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"])
    func `a request that its head refuses is answered before its body comes`(refusal: (route: String, status: Int), framing: String)
        async throws
    {
        let (statuses, end, text) = try await server().say(Self.head(refusal.route, framing), within: 5_000)
        #expect(statuses == [refusal.status])
        #expect(end == .closed)
        #expect(text.contains("\r\nconnection: close\r\n"))
        #expect(text.contains("\r\nx-request-id: "))
    }

    @Test(arguments: refusals + [("POST /open", 413)])
    func `a request that its head refuses gets no 100 Continue`(refusal: (route: String, status: Int)) async throws {
        let length = refusal.status == 413 ? 20_000_000 : 10
        let head = Self.head(refusal.route, "Expect: 100-continue\r\nContent-Length: \(length)\r\n")
        #expect(try await server().say(head, within: 5_000).statuses == [refusal.status])
    }

    @Test(arguments: ["Authorization: Bearer x\r\n", "x-api-key: x\r\n"])
    func `a request with a credential gets 100 Continue, and its handler decides`(credential: String) async throws {
        let client = try await server().client()
        client.send(Self.head("POST /private", "\(credential)Expect: 100-continue\r\nContent-Length: 4\r\n"))
        client.read { $0.statuses == [100] }
        client.send("body")
        client.read { $0.statuses.count == 2 }
        #expect(client.statuses == [100, 200])
    }

    @Test(arguments: [("Bearer server", 200), ("Bearer x", 401)])
    func `a row for servers admits a service token only, with and without a body`(credential: String, status: Int) async throws {
        let client = try await server().client()
        client.send(Self.head("POST /server", "Authorization: \(credential)\r\nContent-Length: 0\r\n"))
        client.read { !$0.statuses.isEmpty }
        client.send(Self.head("POST /server", "Authorization: \(credential)\r\nContent-Length: 4\r\n") + "body")
        client.read { $0.statuses.count == 2 }
        #expect(client.statuses == [status, status])
    }

    @Test(arguments: ["Authorization:\r\n", "x-api-key: \r\n", "Cookie: x\r\n"])
    func `an empty field is no credential`(field: String) async throws {
        #expect(try await server().say(Self.head("POST /private", "\(field)Content-Length: 10\r\n"), within: 5_000).statuses == [401])
    }

    @Test(arguments: [
        ("/private", "Cookie: a=b; sid=x\r\n", [100]), ("/private", "Cookie: a=b\r\nCookie: sid=x\r\n", [100]),
        ("/private", "Cookie: xsid=x; sid2=x\r\n", [401]), ("/v1/private", "Cookie: sid=x\r\n", [401]),
    ])
    func `the cookie of the gate is a credential where the row accepts it`(path: String, cookie: String, statuses: [Int]) async throws {
        let client = try await server().client()
        client.send(Self.head("POST \(path)", "\(cookie)Expect: 100-continue\r\nContent-Length: 4\r\n"))
        client.read { !$0.statuses.isEmpty }
        #expect(client.statuses == statuses)
    }

    @Test(arguments: [("POST", 403), ("GET", 200)])
    func `a request with a cookie that changes something needs its proof`(method: String, status: Int) async throws {
        let client = try await server().client()
        client.send(Self.head("\(method) /private", "Cookie: sid=unproven\r\nContent-Length: 0\r\n"))
        client.read { !$0.statuses.isEmpty }
        #expect(client.statuses == [status])
        client.send(Self.head("\(method) /private", "Cookie: sid=proven\r\nContent-Length: 0\r\n"))
        client.read { $0.statuses.count == 2 }
        #expect(client.statuses == [status, 200])
    }

    @Test func `the refusal has the shape of its route`() async throws {
        let text = try await server().say(Self.head("POST /shaped?batch=1"), within: 5_000).text
        #expect(text.contains(#"[{"error":{"message""#) && text.contains(#""path":"shaped","reason":"invalid_api_key""#))
    }

    // MARK: A caller that is not known yet

    /// The checks of callers, each a promise that the test keeps.
    private struct Checks {
        let server: TestServer
        let asked: AsyncStream<Promise<Bool>>

        func next() async -> Promise<Bool>? {
            for await check in asked { return check }
            return nil
        }
    }

    private func checks(bodiesMax: Int = 1_000) async throws -> Checks {
        let (asked, continuation) = AsyncStream.makeStream(of: Promise<Bool>.self)
        var configuration = HTTPServerConfiguration()
        configuration.bufferedBodyBytesMax = bodiesMax
        return Checks(server: try await TestServer(configuration) { $0.add(AdmissionDoor(checks: continuation)) }, asked: asked)
    }

    private static let unknown = "x-api-key: unknown\r\nContent-Length: 900\r\n"

    @Test func `the body of an unknown caller waits for the check, and takes no room of other bodies`() async throws {
        let checks = try await checks()
        let server = checks.server
        let client = server.client()
        client.send(Self.head("POST /private", Self.unknown) + String(repeating: "x", count: 500))
        let check = try #require(await checks.next())
        #expect(server.say(post("/private", String(repeating: "y", count: 900), "x-api-key: good\r\n")).statuses == [200])
        client.send(String(repeating: "x", count: 400))
        check.succeed(true)
        // The handler asks the gate again.
        try #require(await checks.next()).succeed(true)
        client.read { $0.statuses == [200] }
        #expect(client.text.hasSuffix("900"))
        client.send(post("/private", "four", "x-api-key: good\r\n"))
        client.read { $0.statuses == [200, 200] }
        #expect(client.text.hasSuffix("4"))
    }

    @Test func `a caller that the check refuses gets no 100 Continue, and its connection ends`() async throws {
        let checks = try await checks()
        let server = checks.server
        let client = server.client()
        client.send(Self.head("POST /private", "Expect: 100-continue\r\n" + Self.unknown))
        try #require(await checks.next()).succeed(false)
        #expect(client.readToEnd(within: 5_000) == .closed)
        #expect(client.statuses == [401])
        #expect(client.text.contains("token_revoked"))
    }

    @Test func `an admitted caller gets 100 Continue after the check`() async throws {
        let checks = try await checks()
        let server = checks.server
        let client = server.client()
        client.send(Self.head("POST /private", "Expect: 100-continue\r\n" + Self.unknown))
        let check = try #require(await checks.next())
        #expect(client.statuses == [])
        check.succeed(true)
        client.read { $0.statuses == [100] }
        client.send(String(repeating: "x", count: 900))
        try #require(await checks.next()).succeed(true)
        client.read { $0.statuses == [100, 200] }
    }

    @Test func `a long body that an unknown caller sends ahead arrives whole`() async throws {
        let checks = try await checks(bodiesMax: 8 << 20)
        let server = checks.server
        let client = server.client()
        let head = Self.head("POST /private", "x-api-key: unknown\r\nContent-Length: 4000000\r\n")
        let sender = Task.detached { client.send(head + String(repeating: "x", count: 4_000_000)) }
        let check = try #require(await checks.next())
        check.succeed(true)
        try #require(await checks.next()).succeed(true)
        await sender.value
        client.read { $0.statuses == [200] }
        #expect(client.text.hasSuffix("4000000"))
    }

    @Test func `a caller that leaves during the check harms no other`() async throws {
        let checks = try await checks()
        let server = checks.server
        do {
            let leaver = server.client()
            leaver.send(Self.head("POST /private", Self.unknown))
            withExtendedLifetime(leaver) {}
        }
        let check = try #require(await checks.next())
        #expect(server.say(get("/private", "x-api-key: good\r\n")).statuses == [200])
        check.succeed(true)
        #expect(server.say(get("/private", "x-api-key: good\r\n")).statuses == [200])
    }

    @Test func `a row for service tokens reads its body before the only check`() async throws {
        let checks = try await checks()
        let client = checks.server.client()
        client.send(post("/service", "four", "x-api-key: unknown\r\n"))
        try #require(await checks.next()).succeed(true)
        client.read { $0.statuses == [200] }
        #expect(client.text.hasSuffix("4"))
    }

    @Test func `a known caller that the row does not admit is refused by the head`() async throws {
        let head = Self.head("POST /private", "x-api-key: poor\r\nContent-Length: 900\r\n")
        let (statuses, end, text) = try await server().say(head, within: 5_000)
        #expect((statuses, end) == ([403], .closed))
        #expect(text.contains("insufficient_scope"))
    }

    // MARK: The body limit of a row

    @Test func `a declared length above the limit of the row is refused by the head`() async throws {
        let head = Self.head("POST /small", "x-api-key: good\r\nContent-Length: 11\r\n")
        let (statuses, end, text) = try await server().say(head, within: 5_000)
        #expect(statuses == [413])
        #expect(end == .closed)
        #expect(text.contains(#""reason":"payload_too_large""#))
        #expect(text.contains("larger than 10 bytes"))
    }

    @Test func `a chunked body is refused as soon as it passes the limit of the row`() async throws {
        let head = Self.head("POST /small", "x-api-key: good\r\nTransfer-Encoding: chunked\r\n")
        let server = try await server()
        let client = server.client()
        client.send(head + "a\r\n0123456789\r\n1\r\n")
        client.send("x")
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [413])
        #expect(client.text.contains(#""reason":"payload_too_large""#))
        #expect(server.say(head + "a\r\n0123456789\r\n0\r\n\r\n").statuses == [200])
    }

    @Test func `the limit of a row does not raise the limit of the server`() async throws {
        let server = try await server { $0.bodyBytesMax = 5 }
        #expect(server.say(Self.head("POST /small", "x-api-key: good\r\nContent-Length: 6\r\n"), within: 5_000).statuses == [413])
    }

    @Test func `a refusal reaches a client that sends its body nevertheless`() async throws {
        let client = try await server().client()
        client.send(Self.head("POST /private") + String(repeating: "x", count: 1_000_000))
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [401])
    }

    @Test func `a request without a body is left to its handler, and the connection stays`() async throws {
        let client = try await server().client()
        client.send(get("/private") + post("/open", "body"))
        client.read { $0.statuses.count == 2 }
        #expect(client.statuses == [401, 200])
    }

    // MARK: The budget of the loop

    @Test func `bodies beyond the budget of the loop are refused, and the end of a request frees its part`() async throws {
        let server = try await server { $0.bufferedBodyBytesMax = 1_000 }
        let first = server.client()
        first.send(Self.head("POST /open", "Content-Length: 900\r\n") + String(repeating: "x", count: 800))
        // Both connections share a loop: an answer to the second means that the server has read the
        // first.
        let second = server.client()
        second.send(get("/private"))
        second.read { $0.statuses == [401] }
        second.send(post("/open", String(repeating: "x", count: 300)))
        #expect(second.readToEnd() == .closed)
        #expect(second.statuses == [401, 503])
        #expect(second.text.contains(#""code":"overloaded""#))
        #expect(second.text.contains("\r\nretry-after: 1\r\n"))
        #expect(second.text.hasSuffix("}}") && second.text.contains("\r\nconnection: close\r\n"))
        first.send(String(repeating: "x", count: 100))
        first.read { $0.statuses == [200] }
        #expect(first.statuses == [200])
        #expect(server.say(post("/open", String(repeating: "x", count: 300))).statuses == [200])
    }

    @Test func `a body counts until its handler drops it or returns`() async throws {
        let (waiting, wait) = AsyncStream.makeStream(of: Promise<Void>.self)
        var configuration = HTTPServerConfiguration()
        configuration.bufferedBodyBytesMax = 1_000
        let server = try await TestServer(configuration) { exchange in
            if exchange.path == "/slow" {
                let go = Promise<Void>(on: exchange.loop)
                wait.yield(go)
                try? await go.value()
                exchange.dropBody()
                let last = Promise<Void>(on: exchange.loop)
                wait.yield(last)
                try? await last.value()
            }
            exchange.respond(200)
        }
        let slow = server.client()
        slow.send(post("/slow", String(repeating: "x", count: 900)))
        var iterator = waiting.makeAsyncIterator()
        let go = try #require(await iterator.next())
        let other = post("/", String(repeating: "x", count: 300), "Connection: close\r\n")
        #expect(server.say(other).statuses == [503])
        go.succeed(())
        let last = try #require(await iterator.next())
        #expect(server.say(other).statuses == [200])
        last.succeed(())
        slow.read { $0.statuses == [200] }
        #expect(server.say(other).statuses == [200])
    }

    @Test func `a full loop sends no 100 Continue`() async throws {
        let server = try await server { $0.bufferedBodyBytesMax = 1_000 }
        let first = server.client()
        first.send(Self.head("POST /open", "Content-Length: 2000\r\n") + String(repeating: "x", count: 1_000))
        let second = server.client()
        second.send(get("/private") + Self.head("POST /open", "Expect: 100-continue\r\nContent-Length: 10\r\n"))
        #expect(second.readToEnd() == .closed)
        #expect(second.statuses == [401, 503])
        withExtendedLifetime(first) {}
    }

    @Test func `a client that leaves in its body makes room`() async throws {
        let server = try await server { $0.bufferedBodyBytesMax = 1_000 }
        do {
            let leaver = server.client()
            leaver.send(Self.head("POST /open", "Content-Length: 1000\r\n") + String(repeating: "x", count: 900))
            let other = server.client()
            other.send(get("/private"))
            other.read { $0.statuses == [401] }
            #expect(server.say(post("/open", String(repeating: "x", count: 300))).statuses == [503])
        }
        // The server learns of the hang-up by an event of its own.
        var answer = 503
        for _ in 0..<100 where answer == 503 {
            answer = server.say(post("/open", String(repeating: "x", count: 300), "Connection: close\r\n")).statuses.first ?? 503
        }
        #expect(answer == 200)
    }

    // MARK: Confinement

    #if DEBUG
        @Test func `a debug build traps where an exchange is changed off its loop`() async {
            await #expect(processExitsWith: .failure) {
                let server = try await TestServer { exchange in
                    await Task.detached { exchange.onClose = {} }.value
                    exchange.respond(200)
                }
                _ = server.say(get("/"))
            }
        }
    #endif
}

/// Rows of each access. Every credential is good, except `poor`, which lacks the scope, and `unknown`,
/// which is checked.
private struct AdmissionDoor: HTTPDoor {
    /// Receives the answer of each check as a promise.
    var checks: AsyncStream<Promise<Bool>>.Continuation?

    static let table: [Route<AdmissionDoor>] = [
        Route(.post, ["/open"], access: .public, bodyBytesMax: .max, AdmissionDoor.countOpen),
        Route(.post, ["/private"], access: .credential(), bodyBytesMax: .max, AdmissionDoor.count),
        Route(.post, ["/shaped"], access: .credential(), errors: .trpc, AdmissionDoor.count),
        Route(.post, ["/small"], access: .credential(), bodyBytesMax: 10, errors: .trpc, AdmissionDoor.count),
        Route(.post, ["/exchange"], access: .credential(), exchange: AdmissionDoor.exchange),
        Route(.post, ["/service"], access: .service, AdmissionDoor.count),
        Route(.post, ["/server"], access: .serviceWithoutUser, AdmissionDoor.countOpen),
        Route(.get, ["/private"], access: .credential(), AdmissionDoor.count),
        Route(.post, ["/v1/private"], access: .credential(), AdmissionDoor.count),
    ]

    var gate: CallerGate<String> {
        CallerGate(
            cookieName: "sid",
            known: { demand, headers throws(Problem) in
                let cookie = demand.cookie == .ignored ? nil : headers.cookie("sid").map { String(decoding: $0, as: UTF8.self) }
                let caller = headers.string(for: "x-api-key") ?? headers.string(for: "authorization") ?? cookie
                if caller == "poor" { throw .insufficientScope("llm") }
                return ["unknown", ""].contains(caller) ? nil : caller
            },
            check: { [checks] _, _, _ throws(Problem) in
                guard let checks, let loop = EventLoop.current else { throw .invalidAPIKey }
                let answer = Promise<Bool>(on: loop)
                checks.yield(answer)
                guard (try? await answer.value()) == true else { throw .tokenRevoked }
                return "checked"
            },
            prove: { caller, _, _ throws(Problem) in
                if caller == "unproven" { throw .csrfFailed("No proof.", param: "csrf_token") }
            },
            isService: { $0.string(for: "authorization") == "Bearer server" })
    }

    func countOpen(_ request: Request) async -> Response { .text(200, "\(request.body.count)") }
    func count(_ request: Request, caller: String) async -> Response { .text(200, "\(request.body.count)") }
    func exchange(_ exchange: Exchange, _ context: RequestContext, caller: String) async { exchange.respond(200) }
}
