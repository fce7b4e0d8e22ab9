import EventLoop

/// The addresses to which a pool may connect. They are checked after the look-up, because a name can
/// lead anywhere.
package enum PermittedAddresses: Sendable {
    case all
    case loopback
    /// Addresses of the internet: neither loopback nor private, link-local, shared or reserved.
    case global

    func filter(_ addresses: [SocketAddress]) -> [SocketAddress] {
        switch self {
        case .all: addresses
        case .loopback: addresses.filter { $0.scope == .loopback }
        case .global: addresses.filter { $0.scope == .global }
        }
    }
}
