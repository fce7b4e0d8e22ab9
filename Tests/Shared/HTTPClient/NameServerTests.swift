import EventLoop
import Foundation
import HTTPClient
import Synchronization
import TestSupport
import Testing

/// The loop while a name server is down. Only root can give threads a name server of their own.
@Suite(.enabled(if: getuid() == 0 && rootIsMounted, "needs root, and / as a mount point"), .timeLimit(.minutes(1)))
struct NameServerTests {
    /// A look-up asks again after 5 s and ends after 10 s.
    @Test func `a request to a name that no server answers ends at its deadline`() async throws {
        let server = try SilentNameServer()
        let client = HTTPClient(loop: try await server.loop())
        var request = ClientRequest("GET", "http://unanswered.example/")
        request.timeout = .milliseconds(200)
        let error = await #expect(throws: ClientError.self) { try await client.request(request) }
        let questions = server.questions
        #expect(error?.code == .timedOut)
        #expect(questions <= 2, "one for an IPv4 address and one for an IPv6 address")
        try await until("the look-up asks this server") { server.questions > 0 }
    }
}

/// False in a folder that chroot made the root: there a thread cannot keep its mounts to itself.
private var rootIsMounted: Bool {
    let mounts = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    return mounts?.split(separator: "\n").contains { $0.split(separator: " ").dropFirst(4).first == "/" } ?? false
}

/// A name server that counts questions and answers none.
private final class SilentNameServer: Sendable {
    private static let address = "127.9.9.9"
    private let descriptor: Int32
    private let count = Mutex(0)
    private let file: URL

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        self.descriptor = descriptor
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = in_port_t(53).bigEndian
        place.sin_addr.s_addr = inet_addr(Self.address)
        let status = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0, "errno \(errno)")
        file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try "nameserver \(Self.address)\n".write(to: file, atomically: true, encoding: .utf8)
        spawnThread(name: "name-server") { [weak self] in
            var question = [UInt8](repeating: 0, count: 512)
            while recv(descriptor, &question, question.count, 0) > 0 { self?.count.withLock { $0 += 1 } }
            close(descriptor)
        }
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        try? FileManager.default.removeItem(at: file)
    }

    var questions: Int { count.withLock { $0 } }

    /// Returns a loop whose thread, and every thread that it starts, asks this server. The file of
    /// the system's resolver is another one in their mount namespace.
    func loop() async throws -> EventLoop {
        try await withCheckedThrowingContinuation { continuation in
            spawnThread(name: "namespace") { [file] in
                continuation.resume(
                    with: Result {
                        let unshare = unsafeBitCast(dlsym(nil, "unshare"), to: (@convention(c) (Int32) -> Int32).self)
                        let newMountNamespace: Int32 = 0x2_0000
                        try #require(unshare(newMountNamespace) == 0, "errno \(errno)")
                        try PipedProcess.run(["mount", "--make-rprivate", "/"])
                        try PipedProcess.run(["mount", "--bind", file.path(percentEncoded: false), "/etc/resolv.conf"])
                        return EventLoop.spawn(name: "silent-names")
                    })
            }
        }
    }
}
