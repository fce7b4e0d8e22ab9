import EventLoop
import Foundation
import HTTPWire
import TLS
import TestSupport
import Testing
import Uploads
import UpstreamClient

/// Requests whose body is built from an upload.
struct UpstreamUploadTests {
    private static let store = UploadStore(folder: NSTemporaryDirectory(), bytesMax: 1 << 30)
    private static let blocks = 32
    /// A MiB whose first byte numbers it.
    private static func block(_ number: Int) -> [UInt8] { [UInt8(number)] + pattern }
    private static let pattern = (1..<(1 << 20)).map { UInt8($0 % 251) }
    private static let whole: [BodySegment] = [.range(0..<(blocks << 20))]

    private static func upload(_ bytes: [UInt8]) throws -> Upload {
        let writer = try store.begin(length: bytes.count)
        try bytes.withUnsafeBytes { try writer.append($0) }
        return try writer.finish()
    }

    /// An upload that no socket buffer has room for.
    private static func large() throws -> Upload { try upload((0..<blocks).flatMap(block)) }

    private func begin(_ pool: UpstreamPool, _ segments: [BodySegment], of upload: Upload) -> UpstreamResponse {
        pool.begin(method: "POST", target: Array("/".utf8), headers: ["x-a": "b"], body: segments, of: upload)
    }

    private static func text(_ response: UpstreamResponse) async throws -> String {
        try await response.head()
        return "\(response.status) \(String(decoding: try await response.collect(upTo: 1 << 20), as: UTF8.self))"
    }

    @Test func `segments are sent in order, with the length of all, and the connection is kept`() async throws {
        let requests = AsyncStream.makeStream(of: String.self)
        let server = ScriptedServer { peer in
            while let request = peer.request() {
                requests.continuation.yield(request)
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
            }
        }
        try await onLoop {
            let pool = try pool(server.port)
            let upload = try Self.upload(Array("0123456789".utf8))
            let segments: [BodySegment] = [
                .bytes(Array("<".utf8)), .range(2..<5), .bytes([]), .range(5..<5), .range(0..<1), .bytes(Array(">".utf8)), .range(9..<10),
            ]
            #expect(try await Self.text(begin(pool, segments, of: upload)) == "200 a")
            #expect(try await Self.text(begin(pool, [], of: upload)) == "200 a")
            #expect(pool.idleCount == 1)
        }
        var iterator = requests.stream.makeAsyncIterator()
        let host = "POST / HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nx-a: b\r\n"
        #expect(await iterator.next() == host + "Content-Length: 7\r\n\r\n<2340>9")
        #expect(await iterator.next() == host + "Content-Length: 0\r\n\r\n")
        #expect(server.connections == 1)
    }

    @Test func `a large upload is sent as the server reads, is not acknowledged before, and is freed by the answer`() async throws {
        let (accepted, reads, answers) = (Gate(on: loop), Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            accepted.open()
            guard reads.waitBlocking() else { return }
            var head: [UInt8] = []
            while !head.suffix(4).elementsEqual("\r\n\r\n".utf8), let byte = peer.read(1) { head += byte }
            var isEqual = true
            for number in 0..<Self.blocks {
                guard let piece = peer.read(1 << 20) else { return }
                isEqual = isEqual && piece == Self.block(number)
            }
            guard answers.waitBlocking() else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \("\(isEqual)".utf8.count)\r\n\r\n\(isEqual)")
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let pool = try pool(server.port)
            var upload: Upload? = try Self.large()
            weak let kept = upload
            let call = begin(pool, Self.whole, of: try #require(upload))
            upload = nil
            #expect(call.isUnsent && !call.isAcknowledged)
            try await accepted.wait()
            #expect(!call.isAcknowledged)
            reads.open()
            try await until { call.isAcknowledged }
            #expect(!call.isUnsent)
            #expect(kept != nil)
            answers.open()
            try await call.head()
            #expect(kept == nil)
            #expect(try await Self.text(call) == "200 true")
            #expect(pool.idleCount == 1)
        }
    }

    @Test func `an answer before the whole upload was sent is returned, and the connection is not used again`() async throws {
        let server = ScriptedServer { peer in
            guard peer.number == 1 else { return echo(peer) }
            _ = peer.read(1_000)
            peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong")
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let pool = try pool(server.port)
            let upload = try Self.large()
            weak let kept = upload
            let call = begin(pool, Self.whole, of: upload)
            #expect(try await Self.text(call) == "413 long")
            #expect((pool.openCount, pool.idleCount) == (0, 0))
            #expect(try await pool.fetch("/next") == "200 /next")
            #expect(kept != nil, "the caller still has it")
        }
        #expect(server.connections == 2)
    }

    @Test func `a server that answers and closes before the whole upload was sent has its answer read`() async throws {
        let server = ScriptedServer { peer in
            _ = peer.read(1_000)
            peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad")
            peer.endSending()
            _ = peer.waitForHangup()
        }
        try await onLoop {
            let pool = try pool(server.port)
            #expect(try await Self.text(begin(pool, Self.whole, of: Self.large())) == "400 bad")
            #expect(pool.openCount == 0)
        }
    }

    @Test func `a call that is cancelled while it sends frees its upload`() async throws {
        let (accepted, hungUp) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            accepted.open()
            if peer.waitForHangup() { hungUp.open() }
        }
        try await onLoop {
            let pool = try pool(server.port)
            var upload: Upload? = try Self.large()
            weak let kept = upload
            let call = begin(pool, Self.whole, of: try #require(upload))
            upload = nil
            try await accepted.wait()
            #expect(kept != nil)
            call.cancel()
            #expect(kept == nil)
            #expect(pool.openCount == 0)
            try await hungUp.wait()
        }
    }

    @Test func `a server that does not read the upload meets the first-byte deadline`() async throws {
        let done = Gate(on: loop)
        let server = ScriptedServer { _ in _ = done.waitBlocking() }
        try await onLoop {
            let pool = try pool(server.port)
            let call = pool.begin(
                method: "POST", target: Array("/".utf8), headers: [:], body: Self.whole, of: try Self.large(),
                firstByteWithin: .milliseconds(100))
            let error = await #expect(throws: UpstreamError.self) { try await call.head() }
            #expect(error?.code == .timedOut(.firstByte))
            done.open()
        }
        #expect(server.connections == 1)
    }

    @Test func `an upload whose kept connection had ended is sent again from its start`() async throws {
        let server = FullServer()
        try await onLoop {
            let pool = try pool(server.port)
            let first = pool.begin(method: "POST", target: Array("/".utf8), headers: [:], body: [UInt8](repeating: 1, count: 40_000))
            #expect(try await Self.text(first) == "200 a")
            #expect(pool.idleCount == 1)
            let call = pool.begin(
                method: "POST", target: Array("/again".utf8), headers: [:], body: [.range(0..<4)], of: try Self.upload(Array("body".utf8)))
            server.end()
            #expect(try await Self.text(call) == "200 /again")
        }
        #expect(server.connections == 2)
    }

    @Test func `a large upload passes through TLS`() async throws {
        let certificate = try TestCertificate()
        let server = try TLSTestServer(certificate)
        let bytes = Array(String(repeating: "0123456789abcdef", count: 200_000).utf8)
        let seen = AsyncStream.makeStream(of: String.self)
        spawnThread(name: "tls-script") {
            seen.continuation.yield(server.read(until: "<end>"))
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
        }
        try await onLoop {
            let tls = try TLSClientContext(caFile: certificate.certificate)
            let origin = Origin(scheme: .https, host: "localhost", port: UInt16(server.port))
            let pool = try UpstreamPool(loop: loop, origin: origin, tls: tls)
            let segments: [BodySegment] = [.range(16..<bytes.count), .bytes(Array("<end>".utf8))]
            #expect(try await Self.text(begin(pool, segments, of: Self.upload(bytes))) == "200 a")
            #expect(pool.idleCount == 1)
        }
        var iterator = seen.stream.makeAsyncIterator()
        let request = try #require(await iterator.next())
        #expect(request.hasSuffix("\r\n\r\n" + String(decoding: bytes[16...], as: UTF8.self) + "<end>"))
    }

    @Test func `a segment beyond the upload traps`() async {
        await #expect(processExitsWith: .failure) {
            try await onLoop {
                _ = UpstreamUploadTests().begin(try pool(1), [.range(0..<5)], of: try UpstreamUploadTests.upload(Array("body".utf8)))
            }
        }
    }
}
