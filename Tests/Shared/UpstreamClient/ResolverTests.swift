import Synchronization
import Testing

@testable import EventLoop
@testable import UpstreamClient

/// The addresses of an origin while its name server fails.
@Suite(.timeLimit(.minutes(1)))
struct ResolverTests {
    private static let origin = Origin(scheme: .http, host: "a.test", port: 80)

    /// Asks a resolver, whose look-ups succeed `good` times, `asked` times in one turn of the loop.
    /// - Returns: the answers, and the number of look-ups.
    private func ask(_ asked: Int, good: Int) async throws -> (answers: [String], lookups: Int) {
        let lookups = Mutex(0)
        let lookup = HostLookup { _, port in
            let number = lookups.withLock { lookups in
                lookups += 1
                return lookups
            }
            guard number <= good else { return .failure(HostLookup.Failure(isTimeout: false, description: "no name server")) }
            return .success([HostLookup.address("127.0.0.1", port: port)].compactMap(\.self))
        }
        let answers = try await Task(executorPreference: loop) {
            let resolver = Resolver(loop: loop, origin: Self.origin, lookup: lookup, keepsFor: .zero)
            var answers: [String] = []
            for _ in 0..<asked {
                let answer = Promise<String>(on: loop)
                resolver.addresses(within: .seconds(30)) { result in
                    switch result {
                    case .success(let addresses): answer.succeed("\(addresses.compactMap(\.host))")
                    case .failure(let error): answer.succeed("\(error.code)")
                    }
                }
                answers.append(try await answer.value())
            }
            return answers
        }.value
        return (answers, lookups.withLock { $0 })
    }

    /// Asks for a host that the name server gives private, loopback, link-local and public addresses.
    private func permitted(_ permits: PermittedAddresses, host: String = "a.test") async throws -> String {
        let lookup = HostLookup { _, port in
            let hosts = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "fd12::1", "fe80::1", "8.8.8.8"]
            return .success(hosts.compactMap { HostLookup.address($0, port: port) })
        }
        return try await Task(executorPreference: loop) {
            let origin = Origin(scheme: .http, host: host, port: 80)
            let answer = Promise<String>(on: loop)
            Resolver(loop: loop, origin: origin, lookup: lookup, permits: permits).addresses(within: .seconds(30)) { result in
                switch result {
                case .success(let addresses): answer.succeed("\(addresses.compactMap(\.host))")
                case .failure(let error): answer.succeed("\(error)")
                }
            }
            return try await answer.value()
        }.value
    }

    @Test func `addresses that are not permitted are left out after the look-up`() async throws {
        #expect(try await permitted(.all) == #"["10.0.0.1", "127.0.0.1", "169.254.169.254", "fd12::1", "fe80::1", "8.8.8.8"]"#)
        #expect(try await permitted(.privateNetworks) == #"["10.0.0.1", "fd12::1", "8.8.8.8"]"#)
        #expect(try await permitted(.global) == #"["8.8.8.8"]"#)
        #expect(try await permitted(.loopback) == #"["127.0.0.1"]"#)
        #expect(try await permitted(.global, host: "8.8.8.8") == #"["8.8.8.8"]"#)
        for host in ["127.0.0.1", "169.254.169.254"] {
            for permits in [PermittedAddresses.global, .privateNetworks] {
                #expect(try await permitted(permits, host: host).contains("leads to addresses that are not permitted"))
            }
        }
    }

    @Test func `the last addresses serve without a look-up after a look-up has failed`() async throws {
        let (answers, lookups) = try await ask(4, good: 1)
        #expect(answers == Array(repeating: #"["127.0.0.1"]"#, count: 4))
        #expect(lookups == 2)
    }

    @Test func `a failed look-up is cached for the next calls`() async throws {
        let (answers, lookups) = try await ask(3, good: 0)
        #expect(answers == Array(repeating: "connectFailed", count: 3))
        #expect(lookups == 1)
    }
}
