import Glibc

/// The reach of an address: how far from this machine it can lead.
package enum AddressScope: Hashable, Sendable {
    case loopback
    /// An address of a private network (RFC 1918, RFC 4193) or of the shared space (RFC 6598).
    case privateNetwork
    /// A link-local or reserved address, or one that carries an IPv4 address of unknown reach. No
    /// service listens there but the metadata service of a cloud.
    case restricted
    case global
}

extension SocketAddress {
    package var scope: AddressScope {
        withBytes { family, bytes in
            switch Int32(family) {
            case AF_INET: Self.scope(ofIPv4: bytes[4..<8].map { $0 })
            case AF_INET6: Self.scope(ofIPv6: bytes[8..<24].map { $0 })
            default: .restricted
            }
        }
    }

    private static func scope(ofIPv4 bytes: [UInt8]) -> AddressScope {
        let (first, second, third) = (bytes[0], bytes[1], bytes[2])
        switch first {
        case 127: return .loopback
        case 10: return .privateNetwork
        case 100 where second & 0xC0 == 64: return .privateNetwork
        case 172 where second & 0xF0 == 16: return .privateNetwork
        case 192 where second == 168: return .privateNetwork
        case 0, 224...255: return .restricted
        case 169 where second == 254: return .restricted
        // Protocol assignments and documentation (RFC 6890, RFC 5737), 6to4 relays (RFC 7526).
        case 192 where second == 0 && [0, 2].contains(third) || second == 88 && third == 99: return .restricted
        // Benchmarks (RFC 2544) and documentation.
        case 198 where second & 0xFE == 18 || second == 51 && third == 100: return .restricted
        case 203 where second == 0 && third == 113: return .restricted
        default: return .global
        }
    }

    /// A mapped address (RFC 4291) has the scope of its IPv4 address. A NAT64 address (RFC 6052) leads
    /// to another machine, so only a global one is permitted.
    private static func scope(ofIPv6 bytes: [UInt8]) -> AddressScope {
        let isZeroToTen = bytes[..<10].allSatisfy { $0 == 0 }
        if isZeroToTen, bytes[10] == 0xFF, bytes[11] == 0xFF { return scope(ofIPv4: Array(bytes[12...])) }
        if isZeroToTen, bytes[10...14].allSatisfy({ $0 == 0 }) { return bytes[15] == 1 ? .loopback : .restricted }
        if bytes.starts(with: [0x00, 0x64, 0xFF, 0x9B]), bytes[4..<12].allSatisfy({ $0 == 0 }) {
            return scope(ofIPv4: Array(bytes[12...])) == .global ? .global : .restricted
        }
        if bytes[0] & 0xFE == 0xFC { return .privateNetwork }
        // Protocol assignments with Teredo (RFC 2928, RFC 4380), documentation (RFC 3849, RFC 9637), 6to4 (RFC 7526).
        if bytes[0] == 0x20, bytes[1] == 0x01, bytes[2] & 0xFE == 0 || bytes[2] == 0x0D && bytes[3] == 0xB8 { return .restricted }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return .restricted }
        if bytes[0] == 0x3F, bytes[1] == 0xFF, bytes[2] & 0xF0 == 0 { return .restricted }
        // Global unicast is 2000::/3 (RFC 4291 §2.4).
        return bytes[0] & 0xE0 == 0x20 ? .global : .restricted
    }
}
