import EventLoop

/// The addresses to which a pool may connect. They are checked after the look-up, because a name can
/// lead anywhere.
package enum PermittedAddresses: Sendable {
    /// Every address. For tests and benchmarks; the product names a narrower set.
    case all
    case loopback
    /// Addresses of the internet: neither loopback nor private, link-local, shared or reserved.
    case global
    /// Addresses of the internet and of private networks. Loopback and link-local addresses stay out,
    /// because the metadata service of a cloud has one.
    case privateNetworks

    func filter(_ addresses: [SocketAddress]) -> [SocketAddress] {
        switch self {
        case .all: addresses
        case .loopback: addresses.filter { $0.scope == .loopback }
        case .global: addresses.filter { $0.scope == .global }
        case .privateNetworks: addresses.filter { [.global, .privateNetwork].contains($0.scope) }
        }
    }
}
