import Synchronization
import TestSupport
import Testing

@testable import EventLoop

@Suite(.timeLimit(.minutes(1)))
struct HostLookupTests {
    private static let loop = EventLoop.spawn(name: "host-lookup-tests")

    private func addresses(of host: String, within limit: Duration = .seconds(30)) async throws -> [String?] {
        let loop = Self.loop
        return try await Task(executorPreference: loop) {
            try await HostLookup.system.addresses(of: host, port: 5432, within: limit, on: loop).map(\.host)
        }.value
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func `an address needs no look-up`(_ host: String) async throws {
        #expect(HostLookup.address(host, port: 80)?.host == host)
        #expect(try await addresses(of: host, within: .zero) == [host])
    }

    @Test(arguments: ["localhost", "", "127.0.0.1:80", "256.0.0.1"])
    func `a name is no address`(_ host: String) {
        #expect(HostLookup.address(host, port: 80) == nil)
    }

    @Test func `a name has at least one address`() async throws {
        let found = try await addresses(of: "localhost")
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0 == "127.0.0.1" || $0 == "::1" })
    }

    @Test func `an unknown name is the reported reason`() async throws {
        let error = await #expect(throws: HostLookup.Failure.self) { _ = try await addresses(of: "does-not-exist.invalid") }
        #expect(error?.isTimeout == false)
        #expect(error?.description.contains("does-not-exist.invalid") == true)
    }

    @Test func `a host whose look-up hangs takes one thread, and does not keep its callers`() async throws {
        let loop = Self.loop
        let release = Gate(on: loop)
        let asked = Mutex<[String]>([])
        let lookup = HostLookup { host, port in
            asked.withLock { $0.append(host) }
            if host == "a.test" { _ = release.waitBlocking() }
            return .success([HostLookup.address("127.0.0.1", port: port)].compactMap(\.self))
        }
        @Sendable func hosts(_ name: String, within limit: Duration) -> Task<[String?], any Error> {
            Task(executorPreference: loop) { try await lookup.addresses(of: name, port: 80, within: limit, on: loop).map(\.host) }
        }
        for _ in 0..<8 {
            let error = await #expect(throws: HostLookup.Failure.self) { _ = try await hosts("a.test", within: .zero).value }
            #expect(error?.isTimeout == true)
        }
        #expect(try await hosts("b.test", within: .seconds(30)).value == ["127.0.0.1"])
        let joined = hosts("a.test", within: .seconds(30))
        try await Task(executorPreference: loop) { try await loop.sleep(for: .zero) }.value
        release.open()
        #expect(try await joined.value == ["127.0.0.1"])
        #expect(asked.withLock { $0.sorted() } == ["a.test", "b.test"])
    }
}
