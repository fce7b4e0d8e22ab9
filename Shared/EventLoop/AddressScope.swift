import Glibc

/// The reach of an address: how far from this machine it can lead.
package enum AddressScope: Hashable, Sendable {
    case loopback
    /// A private, link-local, shared or reserved address. It leads to neighbours of this machine, or
    /// nowhere.
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
        let (first, second) = (bytes[0], bytes[1])
        switch first {
        case 127: return .loopback
        case 0, 10: return .restricted
        case 100 where second & 0xC0 == 64: return .restricted
        case 169 where second == 254: return .restricted
        case 172 where second & 0xF0 == 16: return .restricted
        case 192 where second == 168 || second == 0 && bytes[2] == 0: return .restricted
        case 198 where second & 0xFE == 18: return .restricted
        case 224...255: return .restricted
        default: return .global
        }
    }

    /// Addresses that carry an IPv4 address have the scope of that one: mapped (RFC 4291), NAT64 (RFC
    /// 6052) and 6to4 (RFC 3056).
    private static func scope(ofIPv6 bytes: [UInt8]) -> AddressScope {
        let isZeroToTen = bytes[..<10].allSatisfy { $0 == 0 }
        if isZeroToTen, bytes[10] == 0xFF, bytes[11] == 0xFF { return scope(ofIPv4: Array(bytes[12...])) }
        if isZeroToTen, bytes[10...14].allSatisfy({ $0 == 0 }) { return bytes[15] == 1 ? .loopback : .restricted }
        if bytes[..<4] == [0x00, 0x64, 0xFF, 0x9B] { return scope(ofIPv4: Array(bytes[12...])) }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return scope(ofIPv4: Array(bytes[2..<6])) }
        // Global unicast is 2000::/3 (RFC 4291 §2.4).
        return bytes[0] & 0xE0 == 0x20 ? .global : .restricted
    }
}
