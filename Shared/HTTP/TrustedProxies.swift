package import HTTPWire

/// The networks whose `X-Forwarded-For` the server believes.
package struct TrustedProxies: Sendable {
    private let networks: [IPNetwork]

    package init(_ networks: [IPNetwork]) { self.networks = networks }

    /// Loopback, and the private networks of RFC 1918, RFC 6598 and RFC 4193, where the edge runs.
    package static let byDefault = [
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7",
    ]

    package static let standard = TrustedProxies(byDefault.compactMap { IPNetwork($0) })

    /// The entries that are read, from the right. A request with more of them comes through no chain
    /// of proxies that we run.
    static let entriesMax = 16

    private func contains(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// Returns the address of the client: the right-most entry of `X-Forwarded-For` that is no
    /// trusted proxy, the right-most entry if all are trusted, and the peer if there is no entry or
    /// the peer is no trusted proxy.
    ///
    /// Each proxy appends the address of its peer, so entries to the left of an untrusted one may be
    /// forged. An entry that is no address ends the reading, and the address to its right counts.
    package func client(_ headers: HeaderBlock, peer: String) -> IPAddress? {
        guard let peer = IPAddress(peer.prefix { $0 != "%" }) else { return nil }
        guard contains(peer) else { return peer }
        var rightmost: IPAddress?
        var nearest = peer
        var count = 0
        for field in headers.strings(for: "x-forwarded-for").reversed() {
            for text in field.split(separator: ",").reversed() {
                var entry = text
                while entry.first?.isBlank == true { entry.removeFirst() }
                while entry.last?.isBlank == true { entry.removeLast() }
                guard !entry.isEmpty else { continue }
                count += 1
                guard count <= Self.entriesMax else { return rightmost ?? peer }
                guard let address = IPAddress(forwarded: entry) else { return nearest }
                guard contains(address) else { return address }
                rightmost = rightmost ?? address
                nearest = address
            }
        }
        return rightmost ?? peer
    }
}

extension Character {
    fileprivate var isBlank: Bool { self == " " || self == "\t" }
}
