import Glibc

/// Names this process among the replicas of its service.
package enum Instance {
    /// `<host>-<pid>`, in the letters a queue's name may have.
    package static let name: String = {
        var buffer = [CChar](repeating: 0, count: 65)
        gethostname(&buffer, 64)
        let host = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let plain = host.map { Character(UnicodeScalar($0)) }.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        return "\(String(plain))-\(getpid())"
    }()

    /// `3-k2f9x1`: the broker may still believe in the connection that holds the name used before (405 RESOURCE_LOCKED).
    static func epochSuffix(_ epoch: UInt64) -> String { "\(epoch)-\(String(UInt32.random(in: .min ... .max), radix: 36))" }
}
