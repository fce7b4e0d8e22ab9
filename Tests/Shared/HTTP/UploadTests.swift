import EventLoop
import Foundation
import HTTP
import HTTPWire
import TestSupport
import Testing
import Uploads

/// Bodies that become uploads.
@Suite(.timeLimit(.minutes(1)))
struct UploadTests {
    private let store = UploadStore(folder: NSTemporaryDirectory(), bytesMax: 8 << 20)

    private func server(
        _ store: UploadStore? = nil, held: AsyncStream<Held>.Continuation? = nil,
        _ change: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) async throws -> TestServer {
        var configuration = HTTPServerConfiguration()
        configuration.uploads = store ?? self.store
        change(&configuration)
        return try await TestServer(configuration) { $0.add(UploadDoor(held: held)) }
    }

    fileprivate static func head(_ path: String, _ fields: String) -> String {
        "POST \(path) HTTP/1.1\r\nHost: t\r\nx-api-key: good\r\n\(fields)\r\n"
    }

    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 131 >> 4) } }

    /// The number of the bytes, and a sum over them and their places.
    fileprivate static func sum(_ bytes: some Sequence<UInt8>) -> String {
        var (count, sum) = (0, UInt64(0))
        for byte in bytes {
            sum = sum &* 31 &+ UInt64(byte)
            count += 1
        }
        return "\(count) \(sum)"
    }

    private static func chunks(_ bytes: [UInt8], of count: Int) -> [UInt8] {
        var encoded: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: count) {
            let chunk = bytes[start..<min(bytes.count, start + count)]
            encoded.append(hex: chunk.count)
            encoded += Array("\r\n".utf8) + chunk + Array("\r\n".utf8)
        }
        return encoded + Array("0\r\n\r\n".utf8)
    }

    /// Waits until no upload is left: the server learns of a client's end by an event of its own.
    private func noUploadIsLeft() async throws { try await until("the uploads are freed") { store.bytes == 0 } }

    // MARK: Bodies

    @Test func `a body with a length becomes an upload, whole and in order`() async throws {
        let server = try await server()
        let bytes = Self.bytes(3_000_000)
        let client = server.client()
        for _ in 0..<2 {
            client.send(Array(Self.head("/upload", "Content-Length: \(bytes.count)\r\n").utf8) + bytes)
        }
        client.read { $0.statuses == [200, 200] }
        #expect(client.answers.map { String(decoding: $0.body, as: UTF8.self) } == [Self.sum(bytes), Self.sum(bytes)])
        try await noUploadIsLeft()
    }

    @Test(arguments: [3, 1_000, 100_000])
    func `a chunked body becomes an upload, whatever its chunks`(length: Int) async throws {
        let bytes = Self.bytes(length == 3 ? 100_000 : 3_000_000)
        let client = try await server().client()
        client.send(Array(Self.head("/upload", "Transfer-Encoding: chunked\r\n").utf8) + Self.chunks(bytes, of: length))
        client.read { $0.statuses == [200] }
        #expect(client.text.hasSuffix(Self.sum(bytes)))
        try await noUploadIsLeft()
    }

    @Test func `an upload is in no array, and beyond the limit of other bodies`() async throws {
        let server = try await server {
            $0.bodyBytesMax = 10
            $0.bufferedBodyBytesMax = 10
        }
        let bytes = Self.bytes(100_000)
        let client = server.client()
        client.send(Array(Self.head("/body-is-empty", "Content-Length: \(bytes.count)\r\n").utf8) + bytes)
        client.read { $0.statuses == [200] }
        #expect(client.text.hasSuffix("true"))
    }

    @Test func `an upload of 64 MiB takes no memory of the process`() async throws {
        let store = UploadStore(folder: NSTemporaryDirectory(), bytesMax: 64 << 20)
        let client = try await server(store).client()
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        client.send(Self.head("/large", "Content-Length: \(64 << 20)\r\n"))
        client.send(piece)
        try await until { store.bytes == 1 << 20 }
        let before = try Self.memory()
        for _ in 1..<64 { client.send(piece) }
        client.read { $0.statuses == [200] }
        #expect(client.text.hasSuffix("7 67108864"))
        #expect(try Self.memory() < before + (16 << 20))
    }

    /// The bytes of the process that are in memory and in no file.
    private static func memory() throws -> Int {
        let file = try #require(fopen("/proc/self/status", "r"))
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).split(
                whereSeparator: \.isWhitespace)
            if words.first == "RssAnon:" { return try #require(Int(words[1])) << 10 }
        }
        throw CocoaError(.fileReadUnknown)
    }

    @Test func `a request without a body has no upload`() async throws {
        let client = try await server().client()
        client.send(Self.head("/upload", "Content-Length: 0\r\n") + Self.head("/upload", "Content-Length: 1\r\n") + "x")
        client.read { $0.statuses == [200, 200] }
        #expect(client.answers.map { String(decoding: $0.body, as: UTF8.self) } == ["none", Self.sum([0x78])])
    }

    @Test func `a row without uploads receives an array on the same connection`() async throws {
        let client = try await server().client()
        client.send(
            Self.head("/upload", "Content-Length: 4\r\n") + "abcd" + Self.head("/plain", "Content-Length: 4\r\n") + "abcd"
                + Self.head("/upload", "Content-Length: 4\r\n") + "abcd")
        client.read { $0.statuses == [200, 200, 200] }
        #expect(client.answers.map { String(decoding: $0.body, as: UTF8.self) } == [Self.sum("abcd".utf8), "4", Self.sum("abcd".utf8)])
    }

    @Test func `a client gets 100 Continue before its upload`() async throws {
        let client = try await server().client()
        client.send(Self.head("/upload", "Expect: 100-continue\r\nContent-Length: 4\r\n"))
        client.read { $0.statuses == [100] }
        client.send("body")
        client.read { $0.statuses == [100, 200] }
        #expect(client.text.hasSuffix(Self.sum("body".utf8)))
    }

    // MARK: Refusals before the body

    @Test(arguments: [
        ("POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n", 401),
        ("POST /none HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n", 404),
        ("PUT /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n", 405),
        ("POST /small HTTP/1.1\r\nHost: t\r\nx-api-key: good\r\nContent-Length: 11\r\n", 413),
    ])
    func `a request that its head refuses opens no file and gets no 100 Continue`(head: String, status: Int) async throws {
        // No file can be opened in this folder, and the answer would be 503.
        let server = try await server(UploadStore(folder: "/dev/null", bytesMax: 1_000))
        let (statuses, end, _) = server.say(head + "Expect: 100-continue\r\n\r\n", within: 5_000)
        #expect((statuses, end) == ([status], .closed))
    }

    @Test func `a chunked upload is refused as soon as it passes the limit of the row`() async throws {
        let client = try await server().client()
        client.send(Self.head("/small", "Transfer-Encoding: chunked\r\n") + "a\r\n0123456789\r\n1\r\nx")
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [413])
        #expect(client.text.contains(#""code":"payload_too_large""#) && client.text.contains("larger than 10 bytes"))
        try await noUploadIsLeft()
    }

    // MARK: Refusals of the store

    @Test(arguments: ["Content-Length: 901\r\n", "Expect: 100-continue\r\nContent-Length: 901\r\n"])
    func `a declared length beyond the room of the store is refused by the head`(fields: String) async throws {
        let server = try await server(UploadStore(folder: NSTemporaryDirectory(), bytesMax: 900))
        let (statuses, end, text) = server.say(Self.head("/upload", fields), within: 5_000)
        #expect((statuses, end) == ([503], .closed))
        #expect(text.contains(#""code":"overloaded""#) && text.contains("\r\nretry-after: 1\r\n"))
    }

    @Test func `uploads of all clients share the room of the store, and an end frees its part`() async throws {
        let store = UploadStore(folder: NSTemporaryDirectory(), bytesMax: 1_000)
        let (held, hold) = AsyncStream.makeStream(of: Held.self)
        let (first, second) = (try await server(store, held: hold), try await server(store))
        let keeper = first.client()
        keeper.send(Self.head("/held", "Content-Length: 600\r\n") + String(repeating: "x", count: 600))
        var iterator = held.makeAsyncIterator()
        var kept = await iterator.next()
        let (drop, finish) = (try #require(kept).drop, try #require(kept).finish)
        kept = nil
        let chunked = Self.head("/upload", "Transfer-Encoding: chunked\r\n") + "258\r\n" + String(repeating: "x", count: 600)
        let (statuses, end, text) = second.say(chunked, within: 5_000)
        #expect((statuses, end) == ([503], .closed))
        #expect(text.contains(#""code":"overloaded""#))
        drop.succeed(())
        try await until { store.bytes == 0 }
        #expect(second.say(Self.head("/upload", "Content-Length: 600\r\n") + String(repeating: "x", count: 600)).statuses == [200])
        finish.succeed(())
        keeper.read { $0.statuses == [200] }
        #expect(keeper.statuses == [200])
    }

    @Test func `a folder that takes no file is 503, and the server lives on`() async throws {
        let server = try await server(UploadStore(folder: "/dev/null", bytesMax: 1_000))
        let (statuses, end, text) = server.say(Self.head("/upload", "Content-Length: 4\r\n") + "body", within: 5_000)
        #expect((statuses, end) == ([503], .closed))
        #expect(text.contains(#""code":"overloaded""#) && text.contains("\r\nretry-after: 1\r\n"))
        #expect(server.say(Self.head("/plain", "Content-Length: 4\r\n") + "body").statuses == [200])
    }

    @Test func `a full disk is 503, and the server lives on`() async {
        // The limit of a file's length makes each write beyond it fail, as a full disk does. It holds
        // for a whole process, so this one is its own.
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
            precondition(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
            let store = UploadStore(folder: NSTemporaryDirectory(), bytesMax: 8 << 20)
            var configuration = HTTPServerConfiguration()
            configuration.uploads = store
            let server = try await TestServer(configuration) { $0.add(UploadDoor(held: nil)) }
            func answer(_ count: Int) -> [Int] {
                let client = server.client()
                client.send(UploadTests.head("/upload", "Content-Length: \(count)\r\n") + String(repeating: "x", count: count))
                client.read { !$0.statuses.isEmpty }
                return client.statuses
            }
            precondition(answer(200_000) == [503])
            precondition(answer(100_000) == [200])
            try await until { store.bytes == 0 }
        }
    }

    // MARK: Ends

    @Test func `a client that leaves in its upload frees it`() async throws {
        let server = try await server()
        do {
            let leaver = server.client()
            leaver.send(Self.head("/upload", "Content-Length: 1000000\r\n") + String(repeating: "x", count: 500_000))
            try await until { store.bytes == 500_000 }
        }
        try await noUploadIsLeft()
    }

    @Test func `an upload that comes too slowly is 408, and is freed`() async throws {
        let server = try await server { $0.uploadWithin = .milliseconds(100) }
        let client = server.client()
        client.send(Self.head("/upload", "Content-Length: 1000\r\n") + "x")
        try await until { store.bytes == 1 }
        #expect(client.readToEnd() == .closed)
        #expect(client.statuses == [408])
        try await noUploadIsLeft()
    }

    @Test func `an upload outlives its exchange while a handler keeps it`() async throws {
        let (held, hold) = AsyncStream.makeStream(of: Held.self)
        let server = try await server(held: hold)
        var iterator = held.makeAsyncIterator()
        var kept: Held?
        do {
            let client = server.client()
            client.send(Self.head("/held", "Content-Length: 4\r\n") + "body")
            kept = await iterator.next()
            try #require(kept != nil)
        }
        kept?.drop.succeed(())
        kept?.finish.succeed(())
        #expect(kept?.upload.withUnsafeBytes { $0.elementsEqual("body".utf8) } == true)
        #expect(store.bytes == 4)
        kept = nil
        try await noUploadIsLeft()
    }

    @Test func `a server that stops frees the upload that it still receives`() async throws {
        let server = try await server { $0.drainIdleWithin = .milliseconds(1) }
        let client = server.client()
        client.send(Self.head("/upload", "Content-Length: 1000\r\n") + "x")
        try await until { store.bytes == 1 }
        await Task(executorPreference: server.loop) { await server.server.drain(within: .milliseconds(10)) }.value
        #expect(store.bytes == 0)
        #expect(client.readToEnd() != .deadline)
    }
}

/// An upload whose handler waits: first to drop the body, then to answer.
private struct Held: Sendable {
    let upload: Upload
    let drop: Promise<Void>
    let finish: Promise<Void>
}

private struct UploadDoor: HTTPDoor {
    let held: AsyncStream<Held>.Continuation?

    static let table: [Route<UploadDoor>] = [
        Route(.post, ["/upload"], access: .credential(), uploadBytesMax: 8 << 20) { _ in Self.sum },
        Route(.post, ["/small"], access: .credential(), uploadBytesMax: 10) { _ in Self.sum },
        Route(.post, ["/held"], access: .credential(), uploadBytesMax: 8 << 20) { $0.hold },
        Route(.post, ["/body-is-empty"], access: .credential(), uploadBytesMax: 8 << 20) { _ in
            { exchange, _, _ in exchange.respond(200, body: Array("\(exchange.body.isEmpty)".utf8)) }
        },
        Route(.post, ["/large"], access: .credential(), uploadBytesMax: 64 << 20) { _ in
            { exchange, _, _ in
                let last = exchange.upload?.withUnsafeBytes { "\($0.last ?? 0) \($0.count)" }
                exchange.respond(200, body: Array((last ?? "none").utf8))
            }
        },
        Route(.post, ["/plain"], access: .credential()) { _ in { request, _ in .text(200, "\(request.body.count)") } },
    ]

    var gate: CallerGate<String> {
        CallerGate(known: { _, headers in headers.string(for: "x-api-key") }, check: { _, _, _ throws(Problem) in throw .invalidAPIKey })
    }

    static func sum(_ exchange: Exchange, _ context: RequestContext, _ caller: String) {
        exchange.respond(200, body: Array((exchange.upload.map { $0.withUnsafeBytes { UploadTests.sum($0) } } ?? "none").utf8))
    }

    func hold(_ exchange: Exchange, _ context: RequestContext, _ caller: String) async {
        let (drop, finish) = (Promise<Void>(on: exchange.loop), Promise<Void>(on: exchange.loop))
        if let upload = exchange.upload { held?.yield(Held(upload: upload, drop: drop, finish: finish)) }
        try? await drop.value()
        exchange.dropBody()
        try? await finish.value()
        exchange.respond(200)
    }
}
