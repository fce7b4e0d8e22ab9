import CPostgres
import EventLoop

/// The hosts that a connection URL names, in its order.
struct Hosts: Sendable {
    private var names: [String] = []
    private var ports: [String] = []
    private var hasAddresses = false

    /// - Throws: `connectFailed` for a malformed URL.
    init(_ url: String) throws(PostgresError) {
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
                case "host": names = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                case "port": ports = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                case "hostaddr": hasAddresses = true
                default: break
                }
            }
            option += 1
        }
    }

    /// Returns libpq's options `host`, `hostaddr` and `port` with every address of every host, so
    /// that libpq itself looks up nothing on the loop. It checks certificates against `host`.
    ///
    /// libpq tries the addresses one after another but waits without limit for a server that
    /// accepts and does not answer. Attempt number `attempt` therefore begins at a later address.
    /// - Returns: nothing if the URL gives addresses itself, or names a socket in the file system.
    func options(attempt: Int, within limit: Duration, on loop: EventLoop) async throws(PostgresError) -> [(String, String)] {
        guard !hasAddresses, !names.isEmpty, names.allSatisfy({ !$0.hasPrefix("/") }) else { return [] }
        var entries: [(host: String, address: String, port: String)] = []
        var failure = ""
        for (index, name) in names.enumerated() {
            let port = ports.isEmpty ? "" : ports[min(index, ports.count - 1)]
            do {
                let addresses = try await HostLookup.system.addresses(of: name, port: 0, within: limit, on: loop)
                entries += addresses.compactMap(\.host).map { (name, $0, port) }
            } catch {
                failure = "\(error)"
            }
        }
        guard !entries.isEmpty else { throw PostgresError(.connectFailed, failure) }
        let first = attempt % entries.count
        let ordered = entries[first...] + entries[..<first]
        return [
            ("host", ordered.map(\.host).joined(separator: ",")), ("hostaddr", ordered.map(\.address).joined(separator: ",")),
            ("port", ordered.map(\.port).joined(separator: ",")),
        ]
    }
}
