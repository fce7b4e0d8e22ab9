import EventLoop
import Glibc
import TestSupport
import Testing

struct SocketAddressTests {
    @Test func `the kernel ends a connection whose provider acknowledges nothing for 20 s`() throws {
        let server = ScriptedServer { _ = $0.waitForHangup() }
        let descriptor = try #require(HostLookup.address("127.0.0.1", port: UInt16(server.port))).connect()
        #expect(descriptor >= 0)
        defer { close(descriptor) }
        var milliseconds: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        #expect(getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, &size) == 0)
        #expect(milliseconds == 20_000)
    }
}
