import Glibc

/// The characters of a token: a method, a field name, a chunk extension (RFC 9110 §5.6.2).
enum HTTPToken {
    static func contains(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    static func isToken(_ text: UnsafeRawBufferPointer) -> Bool { !text.isEmpty && text.allSatisfy(contains) }
}

/// The path and the query of a request target (RFC 3986 §3.3, §3.4).
enum TargetGrammar {
    /// Returns whether `text` has only characters that need no escape, and whole escapes.
    static func isPathAndQuery(_ text: ArraySlice<UInt8>) -> Bool {
        var index = text.startIndex
        while index < text.endIndex {
            switch text[index] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: break
            case 0x21, 0x24, 0x26...0x2F, 0x3A, 0x3B, 0x3D, 0x3F, 0x40, 0x5F, 0x7E: break
            case 0x25:
                guard text.endIndex - index > 2, isxdigit(Int32(text[index + 1])) != 0, isxdigit(Int32(text[index + 2])) != 0 else {
                    return false
                }
            default: return false
            }
            index += 1
        }
        return true
    }
}

/// The value of `Host`: a name or an address, and a port (RFC 9110 §7.2).
///
/// RFC 3986 also allows names with escapes and with `,;=&$!*'()`. They are refused, as Apache httpd
/// does by default: a proxy in front might see two hosts.
enum HostGrammar {
    static func isHost(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let end = nameEnd(text) else { return false }
        return end == text.count || text[end] == UInt8(ascii: ":") && isPort(UnsafeRawBufferPointer(rebasing: text[(end + 1)...]))
    }

    /// Returns the index after the name or address; nil if there is neither.
    private static func nameEnd(_ text: UnsafeRawBufferPointer) -> Int? {
        if text.first == UInt8(ascii: "[") { return addressEnd(text) }
        var end = 0
        while end < text.count {
            switch text[end] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F, 0x7E: end += 1
            case UInt8(ascii: ".") where end > 0 && text[end - 1] != UInt8(ascii: "."): end += 1
            default: return end == 0 ? nil : end
            }
        }
        return end == 0 ? nil : end
    }

    private static func addressEnd(_ text: UnsafeRawBufferPointer) -> Int? {
        guard let close = text.firstIndex(of: UInt8(ascii: "]")), close < Int(INET6_ADDRSTRLEN) else { return nil }
        var address = in6_addr()
        let isAddress = withUnsafeTemporaryAllocation(of: CChar.self, capacity: close) { copy in
            for index in 1..<close { copy[index - 1] = CChar(bitPattern: text[index]) }
            copy[close - 1] = 0
            return inet_pton(AF_INET6, copy.baseAddress!, &address) == 1
        }
        return isAddress ? close + 1 : nil
    }

    /// Returns whether `text` is a port. An empty one is legal (RFC 3986 §3.2.3).
    private static func isPort(_ text: UnsafeRawBufferPointer) -> Bool {
        var port = 0
        for byte in text {
            guard (0x30...0x39).contains(byte) else { return false }
            port = port * 10 + Int(byte - 0x30)
            guard port <= 65_535 else { return false }
        }
        return true
    }
}
