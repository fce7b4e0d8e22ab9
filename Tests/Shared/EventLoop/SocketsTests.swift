import EventLoop
import Glibc
import TestSupport
import Testing

struct SocketsTests {
    @Test func `the kernel ends an accepted connection whose client acknowledges nothing for 30 s`() throws {
        let listener = try TCP.listen(host: "127.0.0.1", port: 0, backlog: 1, reusePort: false)
        defer { close(listener) }
        let client = RawClient(port: TCP.port(of: listener))
        var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        #expect(poll(&waiting, 1, 5_000) == 1)
        let accepted = try #require(TCP.accept(listener))
        defer { close(accepted) }
        var milliseconds: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        #expect(getsockopt(accepted, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, &size) == 0)
        #expect(milliseconds == 30_000)
        withExtendedLifetime(client) {}
    }
}
