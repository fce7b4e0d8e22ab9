import CPostgres
import EventLoop
import Glibc

/// Looks up the hosts of a connection URL on threads that may block: libpq would do it on the loop's.
enum HostLookup {
    private static let threads = BlockingPool(name: "pg-lookup", threads: 2, queueMax: 256)

    /// `host`, `hostaddr` and `port` with every address of every named host, in the URL's order; empty when there is nothing to look
    /// up. libpq tries them one after the other and checks certificates against `host`.
    static func options(for url: String) async throws -> [(String, String)] {
        let target = try Target(url)
        guard target.needsLookup else { return [] }
        return try await threads.run { try target.lookUp() }
    }

    private struct Target: Sendable {
        var hosts: [String] = []
        var ports: [String] = []
        var hasAddresses = false

        init(_ url: String) throws {
            var reason: UnsafeMutablePointer<CChar>?
            guard let options = PQconninfoParse(url, &reason) else {
                defer { PQfreemem(reason) }
                // The reason may quote the URL, and with it the password.
                throw PostgresError(.connectFailed, "the database's URL is malformed")
            }
            defer { PQconninfoFree(options) }
            var option = options
            while let keyword = option.pointee.keyword {
                if let value = option.pointee.val.map({ String(cString: $0) }), !value.isEmpty {
                    switch String(cString: keyword) {
                    case "host": hosts = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                    case "port": ports = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                    case "hostaddr": hasAddresses = true
                    default: break
                    }
                }
                option += 1
            }
        }

        /// A path is a socket in the file system; an address needs no name server.
        var needsLookup: Bool { !hasAddresses && !hosts.isEmpty && hosts.allSatisfy { !$0.hasPrefix("/") } && !hosts.allSatisfy(isAddress) }

        private func isAddress(_ host: String) -> Bool {
            var storage = in6_addr()
            return inet_pton(AF_INET, host, &storage) == 1 || inet_pton(AF_INET6, host, &storage) == 1
        }

        func lookUp() throws -> [(String, String)] {
            var names: [String] = []
            var addresses: [String] = []
            var numbers: [String] = []
            var failure = ""
            for (index, host) in hosts.enumerated() {
                do {
                    for address in try Self.addresses(of: host) {
                        names.append(host)
                        addresses.append(address)
                        numbers.append(ports.isEmpty ? "" : ports.count == 1 ? ports[0] : ports[min(index, ports.count - 1)])
                    }
                } catch let error as PostgresError {
                    failure = error.message
                }
            }
            guard !addresses.isEmpty else { throw PostgresError(.connectFailed, failure) }
            return [
                ("host", names.joined(separator: ",")), ("hostaddr", addresses.joined(separator: ",")),
                ("port", numbers.joined(separator: ",")),
            ]
        }

        private static func addresses(of host: String) throws -> [String] {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let status = getaddrinfo(host, nil, &hints, &list)
            guard status == 0 else {
                throw PostgresError(.connectFailed, "cannot look up \(host): \(String(cString: gai_strerror(status)))")
            }
            defer { freeaddrinfo(list) }
            var addresses: [String] = []
            var next = list
            while let entry = next?.pointee {
                var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
                if getnameinfo(entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
                    addresses.append(text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
                }
                next = entry.ai_next
            }
            return addresses
        }
    }
}
