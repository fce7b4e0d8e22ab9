import Glibc

/// An address of IPv4 or IPv6, without port and zone.
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// The address as a number of 32 or 128 bits. IPv4 stands in the low bits.
    let bits: UInt128
    let isIPv6: Bool

    var bitWidth: Int { isIPv6 ? 128 : 32 }

    /// Reads an address. An IPv6 address that maps an IPv4 address (`::ffff:192.0.2.1`) is the IPv4
    /// address.
    package init?(_ text: some StringProtocol) {
        // The longest text of an address has 45 characters.
        guard text.utf8.count < 46, !text.utf8.contains(0) else { return nil }
        let text = String(text)
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(bits: UInt128(UInt32(bigEndian: v4.s_addr)), isIPv6: false)
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        let bits = withUnsafeBytes(of: v6) { $0.reduce(UInt128(0)) { $0 << 8 | UInt128($1) } }
        let isMapped = bits >> 32 == 0xFFFF
        self.init(bits: isMapped ? bits & 0xFFFF_FFFF : bits, isIPv6: !isMapped)
    }

    fileprivate init(bits: UInt128, isIPv6: Bool) { (self.bits, self.isIPv6) = (bits, isIPv6) }

    /// Reads an entry of `X-Forwarded-For`: an address, also in brackets, with a port or a zone, as
    /// some proxies write it.
    init?(forwarded entry: Substring) {
        var text = entry
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]"), Self.isPort(text[text.index(after: end)...]) else { return nil }
            text = text[text.index(after: text.startIndex)..<end]
        } else if let colon = text.firstIndex(of: ":"), text.contains("."), text[..<colon].contains(".") {
            guard Self.isPort(text[colon...]) else { return nil }
            text = text[..<colon]
        }
        self.init(text.prefix { $0 != "%" })
    }

    /// True for nothing, or a colon and a port.
    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty || (text.first == ":" && UInt16(text.dropFirst()) != nil)
    }

    package var isLoopback: Bool { isIPv6 ? bits == 1 : bits >> 24 == 127 }

    /// The network of one client: an IPv4 address, or the /64 that an IPv6 client may choose its
    /// address from.
    package var clientPrefix: String {
        isIPv6 ? "\(IPAddress(bits: (bits >> 64) << 64, isIPv6: true))/64" : description
    }

    package var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if isIPv6 {
            var address = in6_addr()
            withUnsafeMutableBytes(of: &address) { bytes in
                for index in 0..<16 { bytes[index] = UInt8(truncatingIfNeeded: bits >> (120 - 8 * index)) }
            }
            inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
        } else {
            var address = in_addr(s_addr: UInt32(bits).bigEndian)
            inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
        }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// A network in CIDR notation: `10.0.0.0/8`, or one address.
package struct IPNetwork: Sendable, Hashable {
    private let address: IPAddress
    private let prefixBits: Int

    /// Reads a network. The bits behind the prefix must be zero, so that a mistake is noticed.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        self.address = address
        guard parts.count == 2 else {
            prefixBits = address.bitWidth
            return
        }
        guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bits = Int(parts[1]), bits <= address.bitWidth else {
            return nil
        }
        prefixBits = bits
        let hostBits = address.bitWidth - bits
        guard hostBits == 128 ? address.bits == 0 : (address.bits >> hostBits) << hostBits == address.bits else { return nil }
    }

    package func contains(_ other: IPAddress) -> Bool {
        guard address.isIPv6 == other.isIPv6 else { return false }
        let hostBits = address.bitWidth - prefixBits
        return hostBits == 128 || address.bits >> hostBits == other.bits >> hostBits
    }
}
